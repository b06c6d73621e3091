"""The files of a folder as one seed, and reading many files as if they were one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from casync.fs.beneath import open_beneath
from casync.fs.concatenation import Lineup, Stretch
from casync.fs.extents import read_range

__all__ = ["FolderSeed", "read_lineup"]


def read_lineup(files: Lineup, opener: Callable[[Stretch], int], offset: int, length: int) -> bytes:
    """A range of a lineup. What cannot be read is zeros: whoever uses it hashes it.

    Args:
        files: Which file lies where.
        opener: Opens the file of a stretch, or raises OSError.
        offset: Where in the lineup.
        length: Bytes.
    """
    parts = []
    for stretch in files.stretches(offset, length):
        try:
            fd = opener(stretch)
        except OSError:
            parts.append(bytes(stretch.length))
            continue
        try:
            data = read_range(fd, stretch.offset, stretch.length)
        except OSError:
            data = b""
        finally:
            os.close(fd)
        parts.append(data.ljust(stretch.length, b"\0"))
    return parts[0] if len(parts) == 1 else b"".join(parts)


class FolderSeed:
    """Files below an open folder, one behind the other. Each is opened when it is read.

    Args:
        root: The folder; may be closed by whoever opened it.
        path: Its path, for people.

    Attributes:
        path: The same.
        files: Which file lies at which offset.
    """

    def __init__(self, root: int, path: Path) -> None:
        self.path = path
        self.files = Lineup()
        self._root = os.dup(root)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; zeros where files are missing or shorter than they were."""
        return read_lineup(self.files, self._open, offset, length)

    def close(self) -> None:
        """Lets go of the folder. May be called again."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _open(self, stretch: Stretch) -> int:
        return open_beneath(self._root, stretch.path, os.O_RDONLY)
