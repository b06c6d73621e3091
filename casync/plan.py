"""Plans: which chunks are wanted where, in windows that fit memory.

The target is worked through from its start in windows. A window holds few enough chunks for one
request and few enough bytes for a worker's memory, whatever the length of the whole. Chunks that
an earlier window placed are not fetched a second time. Must not know where bytes come from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.ids import ChunkId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.node import Content, Fetch, runs

__all__ = ["WINDOW_BYTES", "Claims", "Place", "Window", "windows"]

WINDOW_BYTES: Final = 16 * MIB
"""Plain bytes of one window, apart from its zeros and unless a single chunk is larger."""

_MAX_CLAIMS: Final = 1 << 19
"""Distinct chunks whose first place is known: about 70 MiB. Beyond, repeats are fetched again."""


class Place(NamedTuple):
    """A chunk that is wanted at an offset of the target."""

    offset: int
    id: ChunkId
    length: int


class Window(NamedTuple):
    """A stretch of the target.

    Attributes:
        start: Its first byte.
        end: The byte after its last.
        zeros: Ranges (offset, length) that read as zeros.
        places: All other chunks, in order.
    """

    start: int
    end: int
    zeros: list[tuple[int, int]]
    places: list[Place]


def windows(content: Content, fetch: Fetch, max_size: int) -> Iterator[Window]:
    """Cuts `content` into windows that tile it, in order.

    Args:
        content: What is wanted.
        fetch: Finds nodes.
        max_size: The chunker's maximum: the length of the chunks that holes are made of.
    """
    zero = zero_chunk_id(max_size)
    start = solid = 0
    zeros: list[tuple[int, int]] = []
    places: list[Place] = []
    for run_offset, run in runs(content, fetch):
        if run.id == zero and run.length == max_size:
            zeros.append((run_offset, run.length * run.times))
            continue
        ident = ChunkId(run.id)
        offset = run_offset
        for _ in range(run.times):
            if places and (len(places) >= MAX_BATCH_IDS or solid + run.length > WINDOW_BYTES):
                yield Window(start, offset, zeros, places)
                start, solid, zeros, places = offset, 0, [], []
            places.append(Place(offset, ident, run.length))
            solid += run.length
            offset += run.length
    if places or zeros:
        yield Window(start, content.length, zeros, places)


class Claims:
    """Remembers where each chunk is first placed, and by which window.

    Windows are claimed in order by one thread, so a repeat always points to an earlier place.
    """

    def __init__(self) -> None:
        self._first: dict[ChunkId, int] = {}
        self._starts: list[int] = []

    def claim(self, window: Window) -> tuple[list[Place], list[tuple[Place, int]]]:
        """Splits a window's places into those to be had and (place, first offset) repeats."""
        self._starts.append(window.start)
        fresh: list[Place] = []
        repeats: list[tuple[Place, int]] = []
        first = self._first
        for place in window.places:
            known = first.get(place.id)
            if known is not None:
                repeats.append((place, known))
                continue
            if len(first) < _MAX_CLAIMS:
                first[place.id] = place.offset
            fresh.append(place)
        return fresh, repeats

    def window_of(self, offset: int) -> int:
        """The number of the claimed window that covers `offset`."""
        return bisect_right(self._starts, offset) - 1
