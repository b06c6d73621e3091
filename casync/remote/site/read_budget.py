"""How much a reader of a static site may fetch that was not asked for, to make fewer requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from casync.limits import KIB, MIB

__all__ = ["ReadBudget"]

_WASTE_PERCENT: Final = 13.8
_WASTE_BYTES: Final = 128 * KIB
_GAP_STEP: Final = KIB
_GAP_STEPS: Final = 1024
_GROWTH: Final = 4
_FIRST_AHEAD: Final = 256 * KIB
_SPARE: Final = 8
_AHEAD_BYTES: Final = 64 * MIB
_SHARES: Final = 8


class ReadBudget:
    """The budget of one reader. Used by one thread at a time.

    What lies between two chunks is fetched rather than asking twice. Of all such gaps the shortest
    are fetched, up to `_WASTE_PERCENT` of what was asked for so far, or a little (docs/adr/0019).

    Attributes:
        idle: Bytes in memory that were read ahead, and not asked for yet.
    """

    def __init__(self) -> None:
        self.idle = 0
        self._asked = 0
        self._wasted = 0
        self._gaps = [0] * _GAP_STEPS  # bytes of the gaps of each length, in steps

    def ask(self, rows: Sequence[tuple[int, int]]) -> int:
        """Counts rows (start, end) of a segment, sorted, that are asked for; their bytes."""
        size = sum(end - start for start, end in rows)
        self._asked += size
        for (_, end), (start, _) in pairwise(rows):
            if 0 < start - end < _GAP_STEP * _GAP_STEPS:
                self._gaps[(start - end) // _GAP_STEP] += start - end
        return size

    def waste(self, size: int) -> None:
        """Counts bytes that were read ahead and forgotten."""
        self.idle -= size
        self._wasted += size

    def gap(self) -> int:
        """Bytes between two chunks that are worth fetching."""
        room = int(self._asked * _WASTE_PERCENT / 100) + _WASTE_BYTES
        for step, size in enumerate(self._gaps):
            room -= size
            if room < 0:
                return step * _GAP_STEP
        return _GAP_STEP * _GAP_STEPS

    def ahead(self, before: int) -> int:
        """Bytes to read ahead with a request to a segment of which most is asked for.

        Of a segment that is asked for in a row, it is a multiple of what was asked for; of another
        one, as much as does not matter beside all that was asked for. Each request leaves room for
        those to other segments.

        Args:
            before: Bytes of the segment that were asked for before.
        """
        spare = self._asked // _SPARE - self.idle - self._wasted
        wish = max(_GROWTH * before, _FIRST_AHEAD if before else 0, spare)
        return max(0, min(wish, (_AHEAD_BYTES - self.idle) // _SHARES))
