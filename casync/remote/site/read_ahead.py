"""Reads short ranges of one segment, and what follows them once they come in a row.

The chunks that are new in a version lie end to end in their segment, but a pull asks for a few at a
time. Each short range that begins where the last one ended doubles what is read ahead, so requests
grow with the logarithm of what is read, and little is read in vain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from casync.limits import KIB, MIB

__all__ = ["ReadAhead"]

_SHORT_BYTES: Final = 256 * KIB
"""Ranges from this length on are read as they are, side by side."""

_GAP: Final = 128 * KIB
_FIRST_BYTES: Final = 64 * KIB
_MOST_BYTES: Final = 4 * MIB


class ReadAhead:
    """Used by several threads at once.

    Args:
        fetch: Reads bytes of the segment by start and end; None if it is not there.
        size: Bytes of the segment.
    """

    def __init__(self, fetch: Callable[[int, int], bytes | None], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._lock = threading.Lock()
        self._last = -1  # where the last short range ended
        self._ahead = 0
        self._begin = 0  # where `_kept` begins
        self._kept = b""

    def read(self, start: int, end: int) -> bytes | None:
        """The bytes of a range; None if the segment is not there.

        Raises:
            CasyncError: What `fetch` raises.
        """
        if end - start >= _SHORT_BYTES:
            return self._fetch(start, end)
        with self._lock:
            in_a_row = self._last >= 0 and 0 <= start - self._last <= _GAP
            self._last = end
            kept = self._begin + len(self._kept)
            if self._begin <= start and end <= kept:
                return self._kept[start - self._begin : end - self._begin]
            if in_a_row:
                self._ahead = min(max(2 * self._ahead, _FIRST_BYTES), _MOST_BYTES)
                fresh = max(start, kept) if self._begin <= start < kept else start
                data = self._fetch(fresh, min(end + self._ahead, self._size))
                if data is None:
                    return None
                if fresh > start:
                    data = self._kept[start - self._begin :] + data
                self._begin, self._kept = start, data
                return data[: end - start]
            self._ahead = 0
        return self._fetch(start, end)
