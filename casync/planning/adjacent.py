"""Chunks that lie end to end: read with one read, written with one write.

A call for each chunk costs more than its bytes do. Nothing is believed of what is read: each chunk
is hashed, in the very buffer that the caller gets. Must not know what is read or written.
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

Read: TypeAlias = Callable[[int, int], Buffer]
"""Gives the bytes at an offset, of a length; fewer at the end."""

FoundChunk: TypeAlias = tuple[Place, memoryview | None]
"""A place, and its chunk if that is what lies there."""


def read_places(read: Read, places: Iterable[Place]) -> Iterator[list[FoundChunk]]:
    """Each place in order with its chunk, or with None where other bytes lie.

    Args:
        read: Reads a range.
        places: Where which chunk should be.

    Yields:
        What was read at once: a stretch of neighbours.

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
    """Joins writes that lie end to end. Leaving the block writes what is left, after errors too.

    Args:
        write: Writes neighbouring buffers from an offset on.
        wrote: Is told of the bytes of each write.
    """

    def __init__(
        self, write: Callable[[int, Sequence[Buffer]], None], wrote: Callable[[int], None]
    ) -> None:
        self._write = write
        self._wrote = wrote
        self._start = self._end = 0
        self._buffers: list[Buffer] = []

    def write(self, offset: int, plain: Buffer) -> None:
        """Writes now or with the next ones."""
        if offset != self._end or self._end - self._start >= _STRETCH_BYTES:
            self._flush()
            self._start = offset
        self._buffers.append(plain)
        self._end = offset + len(plain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._buffers:
            buffers, self._buffers = self._buffers, []
            self._write(self._start, buffers)
            self._wrote(self._end - self._start)
