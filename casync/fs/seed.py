"""Seeds: local files that may hold wanted chunks.

What is known about a seed is a hint: its bytes are hashed before they are used, because files
change at any time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from casync.errors import UsageError
from casync.fs.extents import data_ranges, read_range
from casync.fs.identity import identity_of

__all__ = ["Seed", "SeedFile", "expand_seed_path"]

_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Seed(Protocol):
    """Old bytes by offset.

    Attributes:
        path: Its path, for messages.
    """

    path: Path

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        ...

    def close(self) -> None:
        """Closes descriptors. May be called again."""
        ...


class SeedFile:
    """A local file or block device, open until it is closed.

    Raises:
        OSError: It cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, _OPEN)
        status = os.fstat(self._fd)
        self.identity = identity_of(status)
        self.is_regular = stat.S_ISREG(status.st_mode)
        if not self.is_regular and not stat.S_ISBLK(status.st_mode):
            self.close()
            raise UsageError(f"a seed must be a file, a folder or a block device: {path}")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end. Once closed, reads what its path leads to now."""
        if self._fd >= 0:
            return read_range(self._fd, offset, length)
        fd = os.open(self.path, _OPEN)
        try:
            return read_range(fd, offset, length)
        finally:
            os.close(fd)

    @property
    def descriptor(self) -> int | None:
        """The open file; None once it is closed."""
        return self._fd if self._fd >= 0 else None

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are not holes, as (start, end)."""
        return data_ranges(self._fd, start, end)

    def __enter__(self) -> SeedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def expand_seed_path(path: Path) -> Iterator[Path]:
    """The files that `--seed PATH` selects: the file itself, or all regular files below a folder.

    Raises:
        UsageError: There is nothing at `path`, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"no such seed: {path} ({getattr(error, 'strerror', error)})") from error
    if not stat.S_ISDIR(mode):
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in sorted(names):
            inside = Path(folder, name)
            if _is_file(inside):
                yield inside


def _is_file(path: Path) -> bool:
    """Whether it is a regular file and not a link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
