"""Windows: which chunks are wanted where, in portions that fit in memory.

The target is worked through from its start in windows. A window holds few enough chunks for one
request and few enough bytes for a worker's memory, whatever the total length. A chunk that an
earlier window placed is not fetched again.

A manifest may list exabytes with a handful of nodes. It is walked from start to end only as far as
the target has room; without a target, each distinct node is walked once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from casync.errors import MalformedError
from casync.ids import ChunkId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.node import Content, FindNode, Run, distinct, runs

__all__ = ["WINDOW_BYTES", "FirstPlaces", "Place", "Window", "distinct_windows", "tile", "windows"]

WINDOW_BYTES: Final = 16 * MIB
"""Plain bytes of one window, not counting zeros, unless a single chunk is larger."""

_MAX_FIRST_PLACES: Final = 1 << 19
"""Distinct chunks whose first place is kept: about 70 MiB. Repeats of others are fetched again."""

_LENGTH_BITS: Final = 25
"""Bits of a chunk's length: `MAX_CHUNK_SIZE` is 2^24."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """A chunk that belongs at an offset of the target."""

    offset: int
    id: ChunkId
    length: int


class Window(NamedTuple):
    """A stretch of the target.

    Attributes:
        start: Its first byte.
        end: The byte after its last.
        zeros: Ranges (offset, length) of zeros.
        places: All other chunks, in order.
    """

    start: int
    end: int
    zeros: list[tuple[int, int]]
    places: list[Place]


def windows(content: Content, find: FindNode, max_size: int) -> Iterator[Window]:
    """Cuts `content` into windows that tile it, in order.

    Args:
        content: The wanted content.
        find: Finds nodes.
        max_size: The chunker's maximum, in bytes: the length of the chunks of holes.
    """
    return tile(runs(content, find), max_size)


def distinct_windows(content: Content, find: FindNode, max_size: int) -> Iterator[Window]:
    """As `windows`, with the chunks of each distinct node once. The offsets have no meaning."""
    return tile(_in_line(distinct(content, find)), max_size)


def _in_line(chunks: Iterable[Run]) -> Iterator[tuple[int, Run]]:
    offset = 0
    for run in chunks:
        yield offset, run
        offset += run.length


def tile(found: Iterable[tuple[int, Run]], max_size: int) -> Iterator[Window]:
    """Cuts runs of chunks, each with its offset, into windows that tile them, in order.

    Args:
        found: The runs, end to end from offset 0.
        max_size: As for `windows`.
    """
    zero = zero_chunk_id(max_size)
    start = end = solid = 0
    zeros: list[tuple[int, int]] = []
    places: list[Place] = []
    for offset, run in found:
        if run.id == zero and run.length == max_size:
            begin = zeros.pop()[0] if zeros and sum(zeros[-1]) == offset else offset
            end = offset + run.length * run.times
            zeros.append((begin, end - begin))
            continue
        ident = ChunkId(run.id)
        end = offset
        for _ in range(run.times):
            if places and (len(places) >= MAX_BATCH_IDS or solid + run.length > WINDOW_BYTES):
                yield Window(start, end, zeros, places)
                start, solid, zeros, places = end, 0, [], []
            places.append(Place(end, ident, run.length))
            solid += run.length
            end += run.length
    if places or zeros:
        yield Window(start, end, zeros, places)


class FirstPlaces:
    """Remembers where each chunk is first placed, and in which window.

    One thread splits windows in order, so a repeat always points to an earlier place.
    """

    def __init__(self) -> None:
        self._first: dict[ChunkId, int] = {}
        self._starts: list[int] = []

    def split(self, window: Window) -> tuple[list[Place], list[tuple[Place, int]]]:
        """Splits a window's places into first places and repeats, as (place, first offset).

        Raises:
            MalformedError: A chunk is listed with two lengths.
        """
        self._starts.append(window.start)
        fresh: list[Place] = []
        repeats: list[tuple[Place, int]] = []
        first = self._first
        for place in window.places:
            known = first.get(place.id)
            if known is not None:
                if known & ((1 << _LENGTH_BITS) - 1) != place.length:
                    raise MalformedError(f"chunk {place.id.hex()} is listed with two lengths")
                repeats.append((place, known >> _LENGTH_BITS))
                continue
            if len(first) < _MAX_FIRST_PLACES:
                first[place.id] = place.offset << _LENGTH_BITS | place.length
            fresh.append(place)
        return fresh, repeats

    def window_of(self, offset: int) -> int:
        """The number of the split window that covers `offset`."""
        return bisect_right(self._starts, offset) - 1
