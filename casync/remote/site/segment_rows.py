"""The chunks of one segment, as far as maps list them, and which of them were asked for.

This decides what one request reads. What lies between two wanted chunks is read with them if it is
short. Where most of what the maps list was asked for, chunks that follow are read as well: a pull
asks for some at a time, on several threads, as the content goes on.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import sub
from typing import NamedTuple

from casync.bucket.spans import JoinedRange

__all__ = ["SegmentRows", "TakenRows"]


class TakenRows(NamedTuple):
    """What one request reads.

    Attributes:
        span: The bytes.
        starts: Where the rows in it begin.
        ahead: Bytes of rows in it that were not asked for.
    """

    span: JoinedRange
    starts: list[int]
    ahead: int


class SegmentRows:
    """Rows of a segment, each the bytes of one record. Used by one thread at a time."""

    def __init__(self) -> None:
        self._listed: list[tuple[int, int]] = []  # not sorted in yet
        self._starts = array("Q")
        self._ends = array("Q")
        self._asked = bytearray()
        self._taken = bytearray()

    def __len__(self) -> int:
        return len(self._starts) + len(self._listed)

    def add(self, rows: Iterable[tuple[int, int]]) -> None:
        """Adds rows (start, end) that a map lists."""
        self._listed += rows

    def ask(self, rows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Marks rows as asked for, whether a map lists them or not; those that were not before."""
        self._sort()
        if unlisted := [row for row in rows if self._end_at(row[0]) < row[1]]:
            self.add(unlisted)
            self._sort()
        fresh = []
        starts, asked = self._starts, self._asked
        for row in rows:
            at = bisect_left(starts, row[0])
            if not asked[at]:
                asked[at] = True
                fresh.append(row)
        return fresh

    def is_dense(self) -> bool:
        """Whether of the rows between the first and the last that were asked for, most were."""
        among = slice(self._asked.find(1), self._asked.rfind(1) + 1)
        sizes = list(map(sub, self._ends[among], self._starts[among]))
        asked: int = sum(compress(sizes, self._asked[among]))
        all_: int = sum(sizes)
        return 2 * asked >= all_

    def take(self, start: int, *, gap: int, ahead: int, most: int) -> TakenRows:
        """What to read with a row that was asked for. These rows are taken until their release.

        Args:
            start: Where the row begins.
            gap: Bytes between two rows that may be read for nothing.
            ahead: Bytes of rows to read that were not asked for.
            most: Bytes to read, unless the row is longer.
        """
        starts, ends, asked = self._starts, self._ends, self._asked
        first = last = bisect_left(starts, start)
        for at in range(first - 1, -1, -1):
            is_far = starts[first] - ends[at] > gap or ends[last] - starts[at] > most
            if is_far or self._taken[at]:
                break
            first = at if asked[at] else first
        room = ahead
        for at in range(last + 1, len(starts)):
            is_far = starts[at] - ends[last] > gap or ends[at] - starts[first] > most
            if is_far or self._taken[at]:
                break
            size = 0 if asked[at] else ends[at] - starts[at]
            if size <= room:
                room -= size
                last = at
        rows = range(first, last + 1)
        self._taken[first : last + 1] = b"\1" * len(rows)
        span = JoinedRange(starts[first], max(ends[first : last + 1]))
        passed = sum(ends[at] - starts[at] for at in rows if not asked[at])
        return TakenRows(span, starts[first : last + 1].tolist(), passed)

    def unasked(self, starts: Iterable[int]) -> int:
        """Bytes of those rows that were not asked for."""
        places = (bisect_left(self._starts, start) for start in starts)
        return sum(self._ends[at] - self._starts[at] for at in places if not self._asked[at])

    def release(self, starts: Iterable[int]) -> None:
        """Marks rows as not taken, so that they are read with others again."""
        for start in starts:
            self._taken[bisect_left(self._starts, start)] = False

    def _end_at(self, start: int) -> int:
        """Where the row that begins at `start` ends; 0 if there is none."""
        at = bisect_left(self._starts, start)
        return self._ends[at] if at < len(self._starts) and self._starts[at] == start else 0

    def _sort(self) -> None:
        """Sorts in what was added."""
        if not self._listed:
            return
        marks = zip(self._starts, self._ends, self._asked, self._taken, strict=True)
        rows = {start: (end, asked, taken) for start, end, asked, taken in marks}
        for start, end in self._listed:
            known, asked, taken = rows.get(start, (0, 0, 0))
            rows[start] = max(known, end), asked, taken
        order = sorted(rows)
        self._listed = []
        self._starts = array("Q", order)
        self._ends = array("Q", (rows[start][0] for start in order))
        self._asked = bytearray(rows[start][1] for start in order)
        self._taken = bytearray(rows[start][2] for start in order)
