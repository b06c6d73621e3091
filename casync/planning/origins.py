"""Where the bytes of a new content come from, as seen by somebody who has an old one.

Pure: contents are walked as runs and windows, and the caller says which chunks the old one has.
The walk is the one that pull makes, with the same bounded memory, so what must travel here is
what travels there.
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
    """What a stretch of a new content is to the owner of an old one."""

    SAME = "same"  # the old content has these bytes at the same offset
    MOVED = "moved"  # the old content has them elsewhere
    REPEAT = "repeat"  # an earlier place of the new content has them
    ZERO = "zero"  # a hole: chunks of nothing but zeros
    TRAVEL = "travel"  # they must come from a server


class Stretch(NamedTuple):
    """`length` bytes from `offset` on that have one origin."""

    offset: int
    length: int
    origin: Origin


def trace(
    new: Iterable[Window], old: Iterable[tuple[int, Run]], is_old: Callable[[ChunkId], bool]
) -> Iterator[Stretch]:
    """Finds the origin of every byte of a new content.

    Args:
        new: Its windows, in order.
        old: The runs of the old content, in order.
        is_old: Whether the old content has a chunk.

    Yields:
        Stretches that tile the new content, chunk by chunk and hole by hole. Those of a window
        come together, its holes first.

    Raises:
        MalformedError: The new content claims a chunk with two lengths.
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
    """Tells for rising offsets whether a content has a chunk there."""

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
    """How many bytes of each origin lie in each of some equal cells of a content.

    Args:
        length: Bytes of the content.
        most: Cells at most.

    Attributes:
        cell_bytes: Bytes of a cell; the last one may have fewer.
        cells: For each cell its bytes by origin, in the order of `Origin`.
    """

    def __init__(self, length: int, most: int) -> None:
        self.length = length
        self.cell_bytes = max(-(-length // most), 1)
        self.cells = [[0] * len(_ROWS) for _ in range(-(-length // self.cell_bytes))]

    def add(self, stretch: Stretch) -> None:
        """Counts one stretch."""
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
