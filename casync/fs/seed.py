"""Seeds: local files that may hold wanted chunks.

An index remembers at which offset of which seed a chunk was seen. It is a hint
(`casync.planning.chunk_index`): bytes from a seed are hashed before they are used, because files
change at any time.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Final, Protocol

from casync.errors import UsageError
from casync.fs.extents import data_ranges, read_range
from casync.fs.identity import identity_of
from casync.ids import ChunkId
from casync.planning.adjacent import FoundChunk, read_places
from casync.planning.chunk_index import ChunkIndex

__all__ = ["Seed", "SeedFile", "SeedIndex", "expand_seed_path"]

_MAX_CHUNKS: Final = 1 << 20
"""Chunks in the index: about 170 MiB, or 16 GiB of seeds at the default chunk size."""

_MAX_OPEN: Final = 64
"""Seeds that stay open. Others are opened for each read, to save descriptors."""

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


class SeedIndex:
    """Where each chunk was seen, and in which seed. Owns and closes its seeds.

    Attributes:
        seeds: The indexed seeds.
        looked: All files that were examined, with the outcome of each, for reports.
        index: Which chunk lies where, and next to which.
    """

    def __init__(self) -> None:
        self.seeds: list[Seed] = []
        self.looked: list[tuple[Path, str]] = []
        self.index = ChunkIndex()
        self._first_numbers: list[int] = []  # of each seed, the number of its first chunk

    def add(self, seed: Seed, chunks: Iterable[tuple[int, ChunkId, int]] = ()) -> None:
        """Adds `seed` with its chunks as (offset, id, length). `note` adds more chunks to it."""
        self.seeds.append(seed)
        self._first_numbers.append(len(self.index))
        if len(self.seeds) > _MAX_OPEN:
            seed.close()
        for chunk in islice(chunks, _MAX_CHUNKS - len(self.index)):
            self.index.add(*chunk)

    def note(self, offset: int, ident: ChunkId, length: int) -> bool:
        """Adds a chunk of the last seed; returns whether there is room for more."""
        if len(self.index) < _MAX_CHUNKS:
            self.index.add(offset, ident, length)
        return len(self.index) < _MAX_CHUNKS

    def read(self, numbers: Iterable[int]) -> Iterator[list[FoundChunk]]:
        """Yields chunks of the index in the order given, with None where the bytes differ.

        Adjacent chunks are read with one call, and come together in one list.
        """
        return (found for _, found in self.read_seeds(numbers))

    def read_seeds(self, numbers: Iterable[int]) -> Iterator[tuple[Seed, list[FoundChunk]]]:
        """As `read`, with the seed of each list."""
        for seed, group in groupby(numbers, self._seed):
            for found in read_places(partial(_read, seed), map(self.index.__getitem__, group)):
                yield seed, found

    def _seed(self, number: int) -> Seed:
        """The seed that holds a chunk of the index."""
        return self.seeds[bisect_right(self._first_numbers, number) - 1]

    def close(self) -> None:
        """Closes all seeds."""
        for seed in self.seeds:
            seed.close()


def _read(seed: Seed, offset: int, length: int) -> bytes:
    """What can be read; a seed has no bytes where reading fails."""
    try:
        return seed.read(offset, length)
    except OSError:
        return b""
