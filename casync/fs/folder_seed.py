"""Files of a folder as one seed, and reads across concatenated files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from casync.fs.beneath import open_beneath
from casync.fs.concatenation import Concatenation, FilePart
from casync.fs.extents import read_range

__all__ = ["FolderSeed", "read_concatenation"]


def read_concatenation(
    files: Concatenation, opener: Callable[[FilePart], int], offset: int, length: int
) -> bytes:
    """Reads a range of a concatenation, with zeros for what cannot be read: callers hash it.

    Args:
        files: Which file lies where.
        opener: Opens the file of a part, or raises OSError.
        offset: Offset in the concatenation, in bytes.
        length: Bytes.
    """
    parts = []
    for part in files.parts(offset, length):
        try:
            fd = opener(part)
        except OSError:
            parts.append(bytes(part.length))
            continue
        try:
            data = read_range(fd, part.offset, part.length)
        except OSError:
            data = b""
        finally:
            os.close(fd)
        parts.append(data.ljust(part.length, b"\0"))
    return parts[0] if len(parts) == 1 else b"".join(parts)


class FolderSeed:
    """Files below an open folder, end to end. Each is opened when it is read.

    Args:
        root: The folder; duplicated, so the caller may close it.
        path: Its path, for messages.

    Attributes:
        path: Its path, for messages.
        files: Which file lies at which offset.
    """

    def __init__(self, root: int, path: Path) -> None:
        self.path = path
        self.files = Concatenation()
        self._root = os.dup(root)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; zeros where files are missing or have shrunk."""
        return read_concatenation(self.files, self._open, offset, length)

    def close(self) -> None:
        """Closes the folder. May be called again."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _open(self, part: FilePart) -> int:
        return open_beneath(self._root, part.path, os.O_RDONLY)
