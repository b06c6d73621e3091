"""Delta groups: which old bytes are likely to resemble missing chunks.

A run of missing chunks between two stretches that a seed has was most likely made from the seed's
bytes around the same two: those that follow the left one and those that precede the right one. The
ends of these two are the run's anchors. A run without anchors is a group, too: its chunks resemble
each other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from casync.ids import ChunkId
from casync.limits import KIB, MIB
from casync.planning.windows import Place

__all__ = ["Anchor", "ChunkGroup", "MissingRun", "chunk_groups"]

_MAX_CHUNKS: Final = 64
"""Missing chunks of one group. In a larger group the bases are further away from each chunk."""

_MAX_BYTES: Final = 1 * MIB
"""Plain bytes wanted by one group, unless a single chunk is larger. With bases on both sides the
group stays below `MAX_GROUP_BYTES`."""

_SLACK_BYTES: Final = 32 * KIB
"""Old bytes beyond the length of the missing ones, on each side: half of a largest chunk."""


class Anchor(NamedTuple):
    """An offset in a seed that corresponds to one in the target.

    Attributes:
        seed: The number of the seed.
        offset: The offset in the seed, in bytes.
        target: The offset in the target, in bytes.
    """

    seed: int
    offset: int
    target: int


class MissingRun(NamedTuple):
    """Missing chunks that follow each other in the target.

    Attributes:
        places: The chunks.
        left: The end of the stretch before them that a seed has.
        right: The beginning of the stretch after them.
    """

    places: Sequence[Place]
    left: Anchor | None
    right: Anchor | None


class ChunkGroup(NamedTuple):
    """Chunks to ask for together.

    Attributes:
        wanted: The chunks and where they belong.
        bases: Ranges of seeds as (seed, start, end); none without an anchor.
    """

    wanted: Sequence[Place]
    bases: Sequence[tuple[int, int, int]]


def chunk_groups(runs: Iterable[MissingRun], wanted: Container[ChunkId]) -> Iterator[ChunkGroup]:
    """Divides wanted chunks into groups, in order, each chunk once.

    Args:
        runs: Missing chunks.
        wanted: The ids of those that only a server can supply.
    """
    seen: set[ChunkId] = set()
    for places, left, right in runs:
        rest: list[Place] = []
        for place in places:
            if place.id in wanted and place.id not in seen:
                seen.add(place.id)
                rest.append(place)
        while rest:
            count = length = 0
            for place in rest[:_MAX_CHUNKS]:
                if count and length + place.length > _MAX_BYTES:
                    break
                count += 1
                length += place.length
            yield ChunkGroup(rest[:count], list(_bases(rest[0], rest[count - 1], left, right)))
            rest = rest[count:]


def _bases(
    first: Place, last: Place, left: Anchor | None, right: Anchor | None
) -> Iterator[tuple[int, int, int]]:
    """The bytes of seeds at the same distances from the anchors, with some slack."""
    ranges: list[tuple[int, int, int]] = []
    start, end = first.offset, last.offset + last.length
    if left is not None:
        shift = left.offset - left.target
        low = max(start + shift - _SLACK_BYTES, left.offset)
        ranges.append((left.seed, low, end + shift + _SLACK_BYTES))
    if right is not None:
        shift = right.offset - right.target
        high = min(end + shift + _SLACK_BYTES, right.offset)
        ranges.append((right.seed, max(start + shift - _SLACK_BYTES, 0), high))
    ranges.sort()
    while ranges:
        seed, low, high = ranges.pop(0)
        if ranges and ranges[0][0] == seed and ranges[0][1] <= high:
            high = max(high, ranges.pop(0)[2])
        if low < high:
            yield seed, low, high
