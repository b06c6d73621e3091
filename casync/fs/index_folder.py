"""Indexes of archives in a folder beside the store: a file for each content, lost at any time."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from casync.archives.byte_files import FileReader
from casync.fs.os_errors import writing
from casync.objects.node import Content

__all__ = ["IndexFolder", "keep_for_now"]


def keep_for_now(index: Iterable[bytes]) -> FileReader:
    """An index in a file without a name, for as long as it is used.

    Raises:
        NoSpaceError, WriteError: It cannot be written.
    """
    with writing(Path(tempfile.gettempdir())):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the reader has it
        try:
            file.writelines(index)
            file.flush()
        except BaseException:
            file.close()
            raise
        return _reader(file)


def _reader(file: BinaryIO) -> FileReader:
    """A reader that closes its file when it is gone."""
    reader = FileReader(file, os.fstat(file.fileno()).st_size)
    weakref.finalize(reader, file.close)
    return reader


class IndexFolder:
    """The folder, which is made when the first index is kept.

    Args:
        path: Its path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def of_store(store: Path) -> IndexFolder:
        """The folder of a store."""
        return IndexFolder(store / "members")

    def find(self, content: Content) -> FileReader | None:
        """The index of an archive; None if it is not kept."""
        try:
            file = self._place(content).open("rb")
        except OSError:
            return None
        return _reader(file)

    def keep(self, content: Content, index: Iterable[bytes]) -> FileReader:
        """Keeps an index, which comes in blocks; where the folder cannot be written, for now only.

        Raises:
            NoSpaceError, WriteError: It cannot be written anywhere.
        """
        place = self._place(content)
        try:
            self._path.mkdir(mode=0o700, exist_ok=True)
            descriptor, part = tempfile.mkstemp(dir=self._path, prefix=place.name)
        except OSError:
            return keep_for_now(index)
        file = os.fdopen(descriptor, "w+b")
        try:
            with writing(place):
                file.writelines(index)
                file.flush()
                os.replace(part, place)
        except BaseException:
            file.close()
            with suppress(OSError):
                os.unlink(part)
            raise
        return _reader(file)

    def sweep(self, has: Callable[[bytes], bool]) -> int:
        """Removes the indexes of contents that are gone; returns how many.

        Args:
            has: Whether the store has an object with an id, a node or a chunk.
        """
        count = 0
        with suppress(OSError):
            for entry in list(os.scandir(self._path)):
                name = entry.name.partition("-")
                try:
                    is_gone = bool(name[2][1:]) or not has(bytes.fromhex(name[0]))
                except ValueError:
                    is_gone = True
                if is_gone:
                    os.unlink(entry.path)
                    count += 1
        return count

    def _place(self, content: Content) -> Path:
        return self._path / f"{content.id.hex()}-{content.level}"
