"""How busy a link is: whether it could carry more bytes than come.

What it can carry shows in bursts: bytes that come one after the other without a pause. A server
pauses between them while it makes deltas, and while little is asked for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from casync.limits import KIB

__all__ = ["LinkLoad"]

_WINDOW_SECONDS: Final = 0.3
"""Time over which the bytes that come are counted."""

_PAUSE_SECONDS: Final = 0.02
"""Time without a byte that ends a burst."""

_BURST_BYTES: Final = 128 * KIB
"""Bytes of a burst that says something: less may come out of buffers."""

_FADE: Final = 0.95
"""What is left of a rate with each later burst: a link may become slower."""

_BUSY_SHARE: Final = 0.8
"""Of what a link can carry, what comes at least while it is busy."""


class LinkLoad:
    """The bytes that came over a link of late. Used by several threads.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_bytes = 0
        self._began = self._last = -1.0
        self._burst = 0
        self._rate = 0.0  # bytes per second in bursts

    def add(self, count: int) -> None:
        """Counts bytes that came now."""
        with self._lock:
            now = self._clock()
            self._recent.append((now, count))
            self._recent_bytes += count
            self._forget(now)
            if now - self._last > _PAUSE_SECONDS:
                self._began, self._burst = now, 0  # these bytes began to come earlier
            else:
                self._burst += count
            self._last = now
            if self._burst >= _BURST_BYTES and now - self._began >= _PAUSE_SECONDS:
                self._rate = max(self._rate * _FADE, self._burst / (now - self._began))
                self._began, self._burst = now, 0

    @property
    def has_room(self) -> bool:
        """Whether clearly fewer bytes come than the link can carry, as far as that is known."""
        with self._lock:
            self._forget(self._clock())
            return self._recent_bytes < _BUSY_SHARE * self._rate * _WINDOW_SECONDS

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - _WINDOW_SECONDS:
            self._recent_bytes -= self._recent.popleft()[1]
