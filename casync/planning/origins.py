"""Where the bytes of new content come from, for the owner of an old version.

Pure: content is walked as runs and windows, and the caller says which chunks the old version has.
The walk is that of pull, with the same bounded memory, so both agree on what must travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from casync.ids import ChunkId
from casync.objects.node import Run
from casync.planning.windows import FirstPlaces, Place, Window

__all__ = ["OriginMap", "Origin", "Stretch", "trace"]


class Origin(Enum):
    """What a stretch of new content is to the owner of old content."""

    SAME = "same"  # the old content has these bytes at the same offset
    MOVED = "moved"  # the old content has them elsewhere
    REPEAT = "repeat"  # an earlier place of the new content has them
    ZERO = "zero"  # a hole: chunks of zeros only
    TRAVEL = "travel"  # they must come from a server


class Stretch(NamedTuple):
    """`length` bytes from `offset` on, all of one origin."""

    offset: int
    length: int
    origin: Origin


def trace(
    new: Iterable[Window], old: Iterable[tuple[int, Run]], is_old: Callable[[ChunkId], bool]
) -> Iterator[Stretch]:
    """Finds the origin of every byte of new content.

    Args:
        new: Windows of the new content, in order.
        old: Runs of the old content as (offset, run), in order.
        is_old: Whether the old content has a chunk.

    Yields:
        Stretches that tile the new content, one per chunk or hole. Those of a window come together,
        its holes first.

    Raises:
        MalformedError: The new content lists a chunk with two lengths.
    """
    first_places = FirstPlaces()
    aligned = _Aligned(old)
    for window in new:
        for hole in window.zeros:
            yield Stretch(*hole, Origin.ZERO)
        _, repeats = first_places.split(window)
        again = {place.offset for place, _ in repeats}
        for place in window.places:
            if aligned.has(place):
                origin = Origin.SAME
            elif is_old(place.id):
                origin = Origin.MOVED
            elif place.offset in again:
                origin = Origin.REPEAT
            else:
                origin = Origin.TRAVEL
            yield Stretch(place.offset, place.length, origin)


class _Aligned:
    """Answers for ascending offsets whether content has a chunk there."""

    def __init__(self, runs: Iterable[tuple[int, Run]]) -> None:
        self._runs = iter(runs)
        self._start = self._end = 0
        self._run = Run(b"", 1, 0)

    def has(self, place: Place) -> bool:
        while self._end <= place.offset:
            found = next(self._runs, None)
            if found is None:
                return False
            self._start, self._run = found
            self._end = self._start + self._run.length * self._run.times
        inside = place.offset - self._start
        return self._run.id == place.id and inside % self._run.length == 0


class OriginMap:
    """Bytes of each origin in equal cells of content.

    Args:
        length: Bytes of the content.
        most: Maximum number of cells.

    Attributes:
        cell_bytes: Bytes of a cell; the last one may have fewer.
        cells: For each cell its bytes by origin, in the order of `Origin`.
    """

    def __init__(self, length: int, most: int) -> None:
        self.length = length
        self.cell_bytes = max(-(-length // most), 1)
        self.cells = [[0] * len(_ROWS) for _ in range(-(-length // self.cell_bytes))]

    def add(self, stretch: Stretch) -> None:
        """Adds one stretch."""
        row = _ROWS[stretch.origin]
        offset, left = stretch.offset, stretch.length
        while left:
            cell, inside = divmod(offset, self.cell_bytes)
            part = min(left, self.cell_bytes - inside)
            self.cells[cell][row] += part
            offset += part
            left -= part

    def total(self, origin: Origin) -> int:
        """All bytes of one origin."""
        row = _ROWS[origin]
        return sum(cell[row] for cell in self.cells)


_ROWS = {origin: row for row, origin in enumerate(Origin)}
