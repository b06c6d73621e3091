"""Reads short ranges of one segment, and what lies near them once most of that was asked for.

The chunks that are new in a version lie end to end in their segment, but a pull asks for some at a
time, on several threads, as the content goes on. Where at least half of the bytes between the first
and the last range so far were asked for, a multiple of them is read ahead, which grows with each
request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from casync.limits import KIB, MIB

__all__ = ["ReadAhead"]

_FIRST_BYTES: Final = 256 * KIB
_GROWTH: Final = 4
_MOST_BYTES: Final = 4 * MIB
_BEHIND_BYTES: Final = MIB
"""What lies further behind the newest range is not asked for again: threads are close together."""


class ReadAhead:
    """Used by several threads at once.

    Args:
        fetch: Reads bytes of the segment by start and end; None if it is not there.
        size: Bytes of the segment.

    Attributes:
        kept_bytes: Bytes that it keeps in memory.
        is_bulk: Whether much of it is wanted at once, so that it is not read ahead.
    """

    def __init__(self, fetch: Callable[[int, int], bytes | None], size: int) -> None:
        self.kept_bytes = 0
        self.is_bulk = False
        self._fetch = fetch
        self._size = size
        self._lock = threading.Lock()
        self._asked = 0  # bytes, in ranges between `_low` and `_high`
        self._low, self._high = size, 0
        self._kept: dict[int, bytes] = {}  # by where they begin

    def read(self, start: int, end: int) -> bytes | None:
        """The bytes of a range; None if the segment is not there.

        Raises:
            CasyncError: What `fetch` raises.
        """
        with self._lock:
            is_first = not self._asked
            self._asked += end - start
            self._low, self._high = min(self._low, start), max(self._high, end)
            begun = self._begun(start, end)
            if len(begun) == end - start:
                return begun
            hull = self._high - self._low
            if not is_first and 2 * self._asked >= hull:
                # Others that want what is read here wait for it.
                stop = self._end_before_kept(end, max(_GROWTH * hull, _FIRST_BYTES))
                fresh = self._fetch(start + len(begun), stop)
                return None if fresh is None else self._keep(start, begun + fresh)[: end - start]
        fresh = self._fetch(start + len(begun), end)
        if fresh is None:
            return None
        with self._lock:
            return self._keep(start, begun + fresh)

    def _begun(self, start: int, end: int) -> bytes:
        """As much from the beginning of a range as is kept."""
        begun = b""
        for begin, data in self._kept.items():
            if begin <= start < begin + len(data):
                begun = max(begun, data[start - begin : end - begin], key=len)
        return begun

    def _end_before_kept(self, end: int, ahead: int) -> int:
        """Where to stop reading ahead: before what is kept, and at the end of the segment."""
        stop = min(end + min(ahead, _MOST_BYTES), self._size)
        return min([begin for begin in self._kept if begin >= end] + [stop])

    def _keep(self, start: int, data: bytes) -> bytes:
        passed = start - _BEHIND_BYTES
        for begin in [one for one, kept in self._kept.items() if one + len(kept) < passed]:
            del self._kept[begin]
        self._kept[start] = data
        self.kept_bytes = sum(map(len, self._kept.values()))
        return data
