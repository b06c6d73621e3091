"""Where the bytes of new content come from, for the owner of an old version: a plan as a map."""

from __future__ import annotations

from enum import Enum

from casync.planning.stretches import REPEAT, STILL_ZERO, WANTED, ZERO, Stretch

__all__ = ["ByteOrigin", "OriginMap", "origin_of"]


class ByteOrigin(Enum):
    """What a stretch of new content is to the owner of old content."""

    SAME = "same"  # the old content has these bytes at the same offset
    MOVED = "moved"  # the old content has them elsewhere
    REPEAT = "repeat"  # an earlier place of the new content has them
    ZERO = "zero"  # a hole: chunks of zeros only
    TRAVEL = "travel"  # they must come from a server


def origin_of(stretch: Stretch) -> ByteOrigin:
    """The origin of a stretch of a plan that has the old content as its only seed."""
    if stretch.origin in _OTHERS:
        return _OTHERS[stretch.origin]
    return ByteOrigin.SAME if stretch.source == stretch.offset else ByteOrigin.MOVED


class OriginMap:
    """Bytes of each origin in equal cells of content.

    Args:
        length: Bytes of the content.
        most: Maximum number of cells.

    Attributes:
        cell_bytes: Bytes of a cell; the last one may have fewer.
        cells: For each cell its bytes by origin, in the order of `ByteOrigin`.
    """

    def __init__(self, length: int, most: int) -> None:
        self.length = length
        self.cell_bytes = max(-(-length // most), 1)
        self.cells = [[0] * len(_ROWS) for _ in range(-(-length // self.cell_bytes))]

    def add(self, stretch: Stretch) -> None:
        """Adds one stretch."""
        row = _ROWS[origin_of(stretch)]
        offset, left = stretch.offset, stretch.length
        while left:
            cell, inside = divmod(offset, self.cell_bytes)
            part = min(left, self.cell_bytes - inside)
            self.cells[cell][row] += part
            offset += part
            left -= part

    def total(self, origin: ByteOrigin) -> int:
        """All bytes of one origin."""
        row = _ROWS[origin]
        return sum(cell[row] for cell in self.cells)


_OTHERS = {
    ZERO: ByteOrigin.ZERO,
    STILL_ZERO: ByteOrigin.ZERO,
    REPEAT: ByteOrigin.REPEAT,
    WANTED: ByteOrigin.TRAVEL,
}
_ROWS = {origin: row for row, origin in enumerate(ByteOrigin)}
