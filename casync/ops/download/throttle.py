"""The throttle of a job: one token bucket for the bytes of all its connections.

Bytes are paid for after they were read, in the order of arrival, so that connections share the rate
fairly, and no connection starts while earlier bytes are not paid for. The level is kept with the
job: a restart does not grant a fresh burst, nor does a clock that jumps.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from casync.errors import StoppedError
from casync.jobs.job import TokenLevel
from casync.limits import MIB

__all__ = ["Throttle", "rate_of"]

_BURST_SECONDS: Final = 60
"""Seconds of the rate that may come at once, after a pause."""

_BURST_BYTES: Final = 8 * MIB
"""Most bytes that may come at once: a burst is for servers that stutter, not for whole files."""

_HOUR: Final = 3600

_PIECE_SECONDS: Final = 0.25
"""Seconds of the rate that are read at once, so that what people see moves with the bytes."""


def rate_of(limit: float, limit_bph: float) -> float:
    """Bytes per second under both limits, per second and per hour; 0 stands for no limit."""
    rates = [rate for rate in (limit, limit_bph / _HOUR) if rate > 0]
    return min(rates, default=0.0)


class Throttle:
    """A token bucket, shared by threads, which are served in the order in which they come.

    Args:
        rate: Bytes per second; 0 for no limit.
        stopped: Ends all waiting when it is set.
        now: Seconds since 1970.
        level: The level that an earlier run left; None for a full bucket.
        clock: Monotonic clock in seconds.

    Attributes:
        piece: Bytes that are read at once, at most.
    """

    def __init__(
        self,
        rate: float,
        stopped: threading.Event,
        now: Callable[[], float],
        *,
        level: TokenLevel | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.piece = max(int(rate * _PIECE_SECONDS), 1) if rate else sys.maxsize
        self._rate = rate
        self._stopped = stopped
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._burst = min(rate * _BURST_SECONDS, _BURST_BYTES)
        self._at = clock()
        self._tokens = self._burst
        if level is not None:
            earned = max(now() - level.time, 0.0) * rate
            self._tokens = min(level.tokens + earned, self._burst)

    def take(self, count: int = 0) -> None:
        """Pays for `count` bytes that came, and waits until they are paid for.

        Without bytes, waits until everything that came is paid for.

        Raises:
            StoppedError: The job was stopped.
        """
        if self._stopped.is_set():
            raise StoppedError("stopped")
        if not self._rate:
            return
        with self._lock:
            self._earn()
            self._tokens -= count
            wait = -self._tokens / self._rate
        if wait > 0 and self._stopped.wait(wait):
            raise StoppedError("stopped")

    @property
    def level(self) -> TokenLevel | None:
        """The level now, to be kept; None without a limit."""
        if not self._rate:
            return None
        with self._lock:
            self._earn()
            return TokenLevel(self._tokens, self._now())

    def _earn(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._burst)
        self._at = now
