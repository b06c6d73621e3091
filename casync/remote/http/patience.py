"""How long a client waits for its server, and when it gives up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from casync.errors import StoppedError, UnreachableError
from casync.remote.http.outage import Outage
from casync.remote.http.peers import PEER_SECONDS
from casync.remote.http.retry import Retry

__all__ = ["Patience"]

_START_SECONDS: Final = 3.0
"""Time for a server to start, where nothing listens yet. It is given once: usually the address is
wrong."""


class Patience:
    """Makes the retries of one client, and waits between them. Used by several threads at once.

    Args:
        budget: As of `Retry`.
        is_known: Tells whether a connection was ever made.
        outage: Learns of failures and of progress.
        pause: Waits for the given seconds; `stop` interrupts the default.
        clock: Monotonic clock in seconds.
        jitter: Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        budget: float,
        is_known: Callable[[], bool],
        outage: Outage,
        *,
        pause: Callable[[float], object] | None,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._budget = budget
        self._is_known = is_known
        self._outage = outage
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self.clock = clock
        self._jitter = jitter
        self._waits_for_start = True

    def retry(self) -> Retry:
        """The tries of one request."""
        budget = self._budget
        if budget and self._outage.is_covered:
            budget = min(budget, PEER_SECONDS)
        return Retry(budget, clock=self.clock, jitter=self._jitter, outage=self._outage)

    def stop(self) -> None:
        """Wakes the threads that wait; these and later ones get StoppedError."""
        self._stopped.set()

    def waits(self, retry: Retry, error: UnreachableError) -> bool:
        """As `wait`; returns false instead of raising `error`."""
        try:
            self.wait(retry, error)
        except UnreachableError:
            return False
        return True

    def wait(self, retry: Retry, error: UnreachableError) -> None:
        """Waits before the next try, or raises `error`."""
        if self._is_known():
            self.rest(retry.wait_after(error))
            return
        if not (error.refused and self._waits_for_start) or self._outage.is_covered:
            self._outage.given_up()  # probably a wrong address
            raise error
        try:
            self.rest(retry.wait_after(error, _START_SECONDS))
        except UnreachableError:
            self._waits_for_start = False
            raise

    def rest(self, seconds: float) -> None:
        """Waits before the next request, or raises StoppedError after `stop`."""
        self._pause(max(seconds, 0.0))
        if self._stopped.is_set():
            raise StoppedError("stopped")
