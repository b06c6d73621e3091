"""The retry policy: when to retry a request, and when to give up.

The clock and the randomness are arguments. Only `UnreachableError` is retried. Waits grow
exponentially with full jitter (Brooker, "Exponential Backoff And Jitter", 2015), so that the
clients of a server do not all return at once after an outage. A server's Retry-After is respected.
Where nothing listens, tries are cheap and frequent: a server that starts is found within a second.

The budget bounds each stretch without progress: connecting, waiting for the server, reading and
the waits between tries all count. A long transfer over a bad line continues as long as it makes
progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from casync.errors import UnreachableError
from casync.remote.http.outage import Outage

__all__ = ["Retry"]

_FIRST_SECONDS: Final = 0.25
"""Longest wait before the second try."""

_LONGEST_SECONDS: Final = 10.0
"""Longest wait between two tries, unless the server asks for more."""

_FIRST_REFUSED_SECONDS: Final = 0.1
_LONGEST_REFUSED_SECONDS: Final = 1.0
"""The same while connections are refused."""

_COVERED_SECONDS: Final = 1.0
"""For how long a server that fails is tried while another one may answer."""


class Retry:
    """The tries of one request.

    Args:
        budget: Seconds that a stretch without progress may take; with 0 there is one try, which
            only the transport bounds.
        clock: Monotonic clock in seconds.
        jitter: Returns a random number from 0 to 1.
        outage: Learns of failures and of progress.
    """

    def __init__(
        self,
        budget: float,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        outage: Outage,
    ) -> None:
        self._budget = budget
        self._outage = outage
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._since = clock()

    @property
    def left(self) -> float:
        """Seconds that the next try may take without progress."""
        return self._since + self._budget - self._clock() if self._budget else math.inf

    def progress(self) -> None:
        """Records progress: begins a new stretch, and resets the wait."""
        self._failures = 0
        self._since = self._clock()
        self._outage.answered()

    def flow(self, seconds: float) -> None:
        """Extends the stretch by the seconds that a large body took at a fair rate.

        Only in the first try: otherwise a server that always breaks off would be retried forever.
        """
        if not self._failures:
            self._since += seconds

    def wait_after(self, error: UnreachableError, budget: float = math.inf) -> float:
        """Seconds to wait before the next try.

        Args:
            error: Why the last one failed.
            budget: Seconds for this stretch, if they are fewer than usual.

        Raises:
            UnreachableError: `error`, if the next try would exceed the budget.
        """
        first, longest = _FIRST_SECONDS, _LONGEST_SECONDS
        if error.refused:
            first, longest = _FIRST_REFUSED_SECONDS, _LONGEST_REFUSED_SECONDS
        if self._outage.is_covered:
            budget = min(budget, _COVERED_SECONDS)
        longest = min(first * 2.0 ** min(self._failures, 16), longest)
        self._failures += 1
        wait = max(longest * self._jitter(), error.retry_after)
        left = self._since + min(self._budget, budget) - self._clock()
        if wait >= left:
            self._outage.given_up()
            raise error
        self._outage.failed(error, wait, left)
        return wait
