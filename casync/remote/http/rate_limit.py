"""A rate limit for the connections to one server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from casync.limits import KIB

__all__ = ["RateLimit"]

_LIMIT_PIECES: Final = 8
"""Reads per second under a rate limit: fewer, larger ones would come in bursts."""


class RateLimit:
    """A rate limit that connections share: a token bucket without a reserve.

    Args:
        rate: Bytes per second, both ways together.
        clock: Monotonic clock in seconds.
        sleep: Waits for the given seconds.
    """

    def __init__(
        self,
        rate: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    @property
    def piece_bytes(self) -> int:
        """Bytes to move at once for an even rate."""
        return max(self.rate // _LIMIT_PIECES, KIB)

    def take(self, count: int) -> None:
        """Waits for as long as the `count` bytes that were just moved may take."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.rate
            wait = self._free_at - now
        self._sleep(wait)
