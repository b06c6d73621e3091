"""Bytes in a file without a name, which lasts for as long as it is read."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path

from casync.archives.byte_files import FileReader
from casync.fs.os_errors import writing

__all__ = ["unnamed_file"]


def unnamed_file(blocks: Iterable[bytes]) -> FileReader:
    """Writes bytes to a file without a name. Processes that are forked may read it, too.

    Raises:
        NoSpaceError, WriteError: It cannot be written.
    """
    with writing(Path(tempfile.gettempdir())):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the reader has it
        try:
            file.writelines(blocks)
            file.flush()
        except BaseException:
            file.close()
            raise
        reader = FileReader(_Positioned(file.fileno()), file.tell())
        weakref.finalize(reader, file.close)
        return reader


class _Positioned:
    """Reads a descriptor by positions of its own: forked processes share that of the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to a position from the beginning."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """Reads the next bytes; fewer only at the end."""
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        return data
