"""Seeds: local files that may hold wanted chunks.

An index says at which offset of which seed a chunk was once seen. It is a hint
(`casync.planning.chunk_index`): bytes from a seed are hashed before they are used, because files
change behind our back.
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
"""Seeds that stay open. More of them are opened for every chunk: descriptors are few."""

_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Seed(Protocol):
    """Old bytes by offset.

    Attributes:
        path: For people.
    """

    path: Path

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer where there are no more."""
        ...

    def close(self) -> None:
        """Lets go of descriptors. May be called again."""
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
        """Bytes at `offset`; fewer at the end. Of a closed one, whatever its path leads to now."""
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
    """The files that `--seed PATH` stands for: itself, or all regular files below a folder.

    Raises:
        UsageError: There is nothing at `path`, or we may not look.
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
    """Whether it is a regular file and no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


class SeedIndex:
    """Where in which seed a chunk was seen. Closes the seeds that it holds.

    Attributes:
        seeds: The files that are indexed.
        looked: All files that were looked at, with what was seen: for people.
        index: Which chunk lies where, and next to which.
    """

    def __init__(self) -> None:
        self.seeds: list[Seed] = []
        self.looked: list[tuple[Path, str]] = []
        self.index = ChunkIndex()
        self._hard_links: list[int] = []  # of each seed, the number of its first chunk

    def add(self, seed: Seed, chunks: Iterable[tuple[int, ChunkId, int]] = ()) -> None:
        """Takes over `seed`, with its chunks as (offset, chunk, length). `note` may tell more."""
        self.seeds.append(seed)
        self._hard_links.append(len(self.index))
        if len(self.seeds) > _MAX_OPEN:
            seed.close()
        for chunk in islice(chunks, _MAX_CHUNKS - len(self.index)):
            self.index.add(*chunk)

    def note(self, offset: int, ident: ChunkId, length: int) -> bool:
        """Adds a chunk of the last seed; says whether there is room for more."""
        if len(self.index) < _MAX_CHUNKS:
            self.index.add(offset, ident, length)
        return len(self.index) < _MAX_CHUNKS

    def read(self, numbers: Iterable[int]) -> Iterator[list[FoundChunk]]:
        """Chunks of the layout, in the order given, or None where they are no more.

        Neighbours are read at once, and come together.
        """
        for seed, group in groupby(numbers, self._seed):
            yield from read_places(partial(_read, seed), map(self.index.__getitem__, group))

    def _seed(self, number: int) -> Seed:
        """The seed that a chunk of the layout lies in."""
        return self.seeds[bisect_right(self._hard_links, number) - 1]

    def close(self) -> None:
        """Closes all seeds."""
        for seed in self.seeds:
            seed.close()


def _read(seed: Seed, offset: int, length: int) -> bytes:
    """What can be read; what cannot is nothing that a seed has."""
    try:
        return seed.read(offset, length)
    except OSError:
        return b""
