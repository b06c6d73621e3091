"""Adjacent chunks: read with one call, written with one call.

A call for each chunk costs more than its bytes do. What is read is untrusted: each chunk is hashed
in the very buffer that the caller gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self, TypeAlias

from casync.ids import Buffer, chunk_ids
from casync.limits import MIB
from casync.planning.windows import Place

__all__ = ["FoundChunk", "Joiner", "Read", "read_places"]

_STRETCH_BYTES: Final = MIB
"""Bytes read or written at once, unless a single chunk is larger."""

_NOWHERE: Final = -1
"""The end of what is to be written, where nothing is."""

Read: TypeAlias = Callable[[int, int], Buffer]
"""Returns the bytes at (offset, length); fewer at the end."""

FoundChunk: TypeAlias = tuple[Place, memoryview | None]
"""A place, and its chunk if the bytes there match."""


def read_places(read: Read, places: Iterable[Place]) -> Iterator[list[FoundChunk]]:
    """Yields each place in order with its chunk, or with None where the bytes differ.

    Args:
        read: Reads a range.
        places: Where chunks are expected.

    Yields:
        A list for each read: a stretch of adjacent places.

    Raises:
        What `read` raises.
    """
    for stretch in _stretches(places):
        start, last = stretch[0].offset, stretch[-1]
        data = memoryview(read(start, last.offset + last.length - start))
        plains = [data[p.offset - start : p.offset - start + p.length] for p in stretch]
        yield [
            (place, plain if ident == place.id and len(plain) == place.length else None)
            for place, plain, ident in zip(stretch, plains, chunk_ids(plains), strict=True)
        ]


def _stretches(places: Iterable[Place]) -> Iterator[list[Place]]:
    stretch: list[Place] = []
    start = end = 0
    for place in places:
        if stretch and (place.offset != end or end + place.length - start > _STRETCH_BYTES):
            yield stretch
            stretch = []
        if not stretch:
            start = place.offset
        stretch.append(place)
        end = place.offset + place.length
    if stretch:
        yield stretch


class Joiner:
    """Joins adjacent writes. Leaving the block flushes pending writes, after errors too.

    Args:
        write: Writes consecutive buffers from an offset on.
        wrote: Is called with the number of bytes of each write.
    """

    def __init__(
        self, write: Callable[[int, Sequence[Buffer]], None], wrote: Callable[[int], None]
    ) -> None:
        self._write = write
        self._wrote = wrote
        self._start, self._end = 0, _NOWHERE
        self._buffers: list[Buffer] = []

    def write(self, offset: int, plain: Buffer) -> None:
        """Writes `plain` at `offset`, now or together with the next write."""
        self.write_all([(offset, plain)])

    def write_all(self, chunks: Iterable[tuple[int, Buffer]]) -> None:
        """As `write`, for many chunks, each with its offset."""
        for offset, plain in chunks:
            if offset != self._end or offset - self._start >= _STRETCH_BYTES:
                self.flush()
                self._start = offset
            self._buffers.append(plain)
            self._end = offset + len(plain)

    def write_around(self, there: range, offset: int, plain: Buffer) -> None:
        """Writes `plain` at `offset`, but for the bytes in `there`, which has them already."""
        view = memoryview(plain)
        start, stop = (min(max(at - offset, 0), len(view)) for at in (there.start, there.stop))
        if start:
            self.write(offset, view[:start])
        if start < stop:
            self._wrote(stop - start)
        if stop < len(view):
            self.write(offset + stop, view[stop:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def flush(self) -> None:
        """Makes all writes so far."""
        if self._buffers:
            buffers, self._buffers = self._buffers, []
            length, self._end = self._end - self._start, _NOWHERE
            self._write(self._start, buffers)
            self._wrote(length)
