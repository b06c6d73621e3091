"""Windows: which chunks belong where in a file, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from casync.ids import ChunkId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.node import Run

__all__ = ["Place", "Window", "tile"]

_WINDOW_BYTES: Final = 16 * MIB
"""Plain bytes of one window, not counting zeros, unless a single chunk is larger."""


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


def tile(found: Iterable[tuple[int, Run]], max_size: int) -> Iterator[Window]:
    """Cuts runs of chunks, each with its offset, into windows that tile them, in order.

    Args:
        found: The runs, end to end from offset 0.
        max_size: The chunker's maximum, in bytes: the length of the chunks of holes.
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
            if places and (len(places) >= MAX_BATCH_IDS or solid + run.length > _WINDOW_BYTES):
                yield Window(start, end, zeros, places)
                start, solid, zeros, places = end, 0, [], []
            places.append(Place(end, ident, run.length))
            solid += run.length
            end += run.length
    if places or zeros:
        yield Window(start, end, zeros, places)
