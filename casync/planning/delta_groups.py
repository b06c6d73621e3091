"""Groups: which old chunks are likely to resemble those that are missing.

Where a run of chunks is missing between two that are held, the old version around the same two is
what it was made from: the bytes that followed the left one, and those that preceded the right one.
These two are the run's anchors. A run without anchors is a group all the same: its chunks are
alike among themselves. Must not know where bytes are.
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
"""Missing chunks of one group. More at once have bases that are further from each of them."""

_MAX_BYTES: Final = 1 * MIB
"""Plain bytes that one group wants, unless a single chunk is larger: with bases on both sides it
stays below `MAX_GROUP_BYTES`."""

_SLACK_BYTES: Final = 32 * KIB
"""Old bytes beyond the length of what is missing, on each side: half of a largest chunk."""


class ChunkGroup(NamedTuple):
    """Chunks to ask for together.

    Attributes:
        wanted: The chunks and where they belong.
        bases: Numbers of old chunks in a layout, in order; none without an anchor.
    """

    wanted: Sequence[Place]
    bases: Sequence[int]


def chunk_groups(
    window: Window, wanted: Container[ChunkId], index: ChunkIndex
) -> Iterator[ChunkGroup]:
    """Divides what is wanted of `window` into groups, in order, each chunk once.

    Args:
        window: A stretch of the target.
        wanted: The chunks of it that are not to be had otherwise.
        index: What lies where in old versions.
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
            continue  # new, and had from elsewhere: the anchors are further out
        yield from _cut(run, left, number, index)
        run, left = [], number
    yield from _cut(run, left, None, index)


def _cut(
    run: Sequence[Place], left: int | None, right: int | None, index: ChunkIndex
) -> Iterator[ChunkGroup]:
    """Cuts a run between two anchors into groups with the bases at their distances."""
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
    """The chunks that lie `distance` bytes from an anchor, as many as `length` and some slack."""
    if anchor is None:
        return
    first = distance - _SLACK_BYTES if distance else 0
    at, number = 0, anchor + step
    while 0 <= number < len(index) and at < distance + length + _SLACK_BYTES:
        at += index.length(number)
        if at > first:
            yield number
        number += step
