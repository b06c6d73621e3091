"""Delta groups: which old chunks are likely to resemble missing ones.

Where a run of chunks is missing between two chunks that are held, it was most likely made from the
old version's bytes around the same two: those that follow the left one and those that precede the
right one. These two chunks are the run's anchors. A run without anchors is a group, too: its chunks
resemble each other.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final, NamedTuple

from casync.ids import ChunkId
from casync.limits import KIB, MIB
from casync.planning.chunk_index import ChunkIndex
from casync.planning.windows import Place, Window

__all__ = ["ChunkGroup", "chunk_groups"]

_MAX_CHUNKS: Final = 64
"""Missing chunks of one group. In a larger group the bases are further away from each chunk."""

_MAX_BYTES: Final = 1 * MIB
"""Plain bytes wanted by one group, unless a single chunk is larger. With bases on both sides the
group stays below `MAX_GROUP_BYTES`."""

_SLACK_BYTES: Final = 32 * KIB
"""Old bytes beyond the length of the missing ones, on each side: half of a largest chunk."""


class ChunkGroup(NamedTuple):
    """Chunks to ask for together.

    Attributes:
        wanted: The chunks and where they belong.
        bases: Numbers of old chunks in the index, ascending; empty without an anchor.
    """

    wanted: Sequence[Place]
    bases: Sequence[int]


def chunk_groups(
    window: Window, wanted: Container[ChunkId], index: ChunkIndex
) -> Iterator[ChunkGroup]:
    """Divides the wanted chunks of `window` into groups, in order, each chunk once.

    Args:
        window: A stretch of the target.
        wanted: Its chunks that only a server can supply.
        index: Where chunks lie in old versions.
    """
    seen: set[ChunkId] = set()
    run: list[Place] = []
    left: int | None = None
    for place in window.places:
        if place.id in wanted:
            if place.id not in seen:
                seen.add(place.id)
                run.append(place)
            continue
        number = index.find(place.id)
        if number is None:
            continue  # new, and supplied otherwise: the anchors are further out
        yield from _cut(run, left, number, index)
        run, left = [], number
    yield from _cut(run, left, None, index)


def _cut(
    run: Sequence[Place], left: int | None, right: int | None, index: ChunkIndex
) -> Iterator[ChunkGroup]:
    """Cuts a run between two anchors into groups, with the bases at the same distances."""
    before, after = 0, sum(place.length for place in run)
    while run:
        count = length = 0
        for place in run[:_MAX_CHUNKS]:
            if count and length + place.length > _MAX_BYTES:
                break
            count += 1
            length += place.length
        after -= length
        following = _numbers(index, left, 1, before, length)
        preceding = _numbers(index, right, -1, after, length)
        yield ChunkGroup(run[:count], sorted({*following, *preceding}))
        run = run[count:]
        before += length


def _numbers(
    index: ChunkIndex, anchor: int | None, step: int, distance: int, length: int
) -> Iterator[int]:
    """The chunks at `distance` bytes from an anchor, covering `length` bytes and some slack."""
    if anchor is None:
        return
    first = distance - _SLACK_BYTES if distance else 0
    at, number = 0, anchor + step
    while 0 <= number < len(index) and at < distance + length + _SLACK_BYTES:
        at += index.length(number)
        if at > first:
            yield number
        number += step
