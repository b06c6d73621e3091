"""Compares local files with content by hashing their chunks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Final, Protocol

from casync.access.outline import Outline
from casync.access.progress import Progress
from casync.fs.extents import data_ranges, read_range
from casync.fs.seed import SeedFile
from casync.fs.target.place import TargetPlace
from casync.ids import ChunkId
from casync.limits import MIB
from casync.objects.chunk_runs import FindNode, runs
from casync.objects.node import Content
from casync.planning.adjacent import read_places
from casync.planning.windows import Place, Window, tile

__all__ = ["Comparer", "holds"]

_READ_BYTES: Final = MIB
_READERS: Final = 4

_AT_ONCE: Final = MIB
"""Bytes of the largest file whose chunks are listed in memory, so that a thread can compare it."""


class _Readable(Protocol):
    """An open file."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        ...

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are not holes, as (start, end)."""
        ...


def holds(place: TargetPlace, outline: Outline, progress: Progress) -> bool:
    """Whether the file at `place` has the content, or the device begins with it.

    Stops at the first difference. A file that cannot be read does not have the content.
    """
    length = outline.content.length
    try:
        with SeedFile(place.path) as file:
            if place.length < length if place.is_device else file.identity.size != length:
                return False
            progress.start("comparing", length)
            found = runs(outline.content, outline.node)
            return _holds(file, tile(found, outline.params.max_size), progress)
    except OSError:
        return False


class Comparer:
    """Compares many files, small ones in threads. Used by one thread.

    Args:
        node: Reads nodes.
        max_size: The chunker's maximum: the length of the chunks that holes are cut into.
        progress: Advances by the bytes that are equal.
    """

    def __init__(self, node: FindNode, max_size: int, progress: Progress) -> None:
        self._node = node
        self._max_size = max_size
        self._progress = progress
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="compare")

    def compare(self, fd: int, content: Content) -> Future[bool]:
        """Whether an open file of the right length has this content, as a future.

        Takes over `fd` and closes it. A file that cannot be read does not have the content.
        """
        if content.level == 0:
            whole = Place(0, ChunkId(content.id), content.length)
            return self._readers.submit(self._compare, fd, [Window(0, content.length, [], [whole])])
        try:
            windows: Iterable[Window] = tile(runs(content, self._node), self._max_size)
            if content.length <= _AT_ONCE:
                return self._readers.submit(self._compare, fd, list(windows))
        except BaseException:
            os.close(fd)
            raise
        same: Future[bool] = Future()
        same.set_result(self._compare(fd, windows))
        return same

    def close(self) -> None:
        """Waits for all comparisons, and ends the threads."""
        self._readers.shutdown(wait=True)

    def _compare(self, fd: int, windows: Iterable[Window]) -> bool:
        try:
            return _holds(_OpenFile(fd), windows, self._progress)
        except OSError:
            return False
        finally:
            os.close(fd)


class _OpenFile:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes:
        return read_range(self._fd, offset, length)

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        return data_ranges(self._fd, start, end)


def _holds(file: _Readable, windows: Iterable[Window], progress: Progress) -> bool:
    for window in windows:
        if any(not _is_zero(file, *hole) for hole in window.zeros):
            return False
        found = chain.from_iterable(read_places(file.read, window.places))
        if any(plain is None for _, plain in found):
            return False
        progress.advance(window.end - window.start)
    return True


def _is_zero(file: _Readable, offset: int, length: int) -> bool:
    for start, end in file.data_ranges(offset, offset + length):
        for at in range(start, end, _READ_BYTES):
            data = file.read(at, min(_READ_BYTES, end - at))
            if data.count(0) != min(_READ_BYTES, end - at):
                return False
    return True
