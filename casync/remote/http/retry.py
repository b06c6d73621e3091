"""When to ask a server again, and when to give up.

A policy without clock, sleep or randomness of its own: they are handed in. Only `UnreachableError`
is worth another try. Waiting grows exponentially with full jitter (Brooker, "Exponential Backoff
And Jitter", 2015), so that many clients of a server that comes back do not arrive together. A
server that names a time is not asked before it.

The budget bounds each stretch without progress: connecting, waiting for the server, reading and
the pauses between tries count alike. A long transfer over a bad line goes on for as long as it
gets anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from casync.errors import UnreachableError

__all__ = ["Retry"]

_FIRST_SECONDS: Final = 0.25
"""Longest wait before the second try."""

_LONGEST_SECONDS: Final = 10.0
"""Longest wait between two tries, unless the server asks for more."""


class Retry:
    """The tries of one request.

    Args:
        budget: Seconds that a stretch without progress may take; 0: one try, for as long as the
            transport allows.
        clock: Seconds, rising.
        jitter: A number from 0 to 1, another one each time.
    """

    def __init__(
        self, budget: float, *, clock: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._since = clock()

    @property
    def left(self) -> float:
        """Seconds that the next try may take without progress."""
        return self._since + self._budget - self._clock() if self._budget else math.inf

    def progress(self) -> None:
        """Something was achieved: a new stretch begins, and the next failure is a first one."""
        self._failures = 0
        self._since = self._clock()

    def flow(self, seconds: float) -> None:
        """Something large was on its way for so long at a fair rate, which does not count.

        Only in the first try: a server that breaks off each time would be asked for ever.
        """
        if not self._failures:
            self._since += seconds

    def wait_after(self, error: UnreachableError) -> float:
        """Seconds to wait before the next try.

        Raises:
            UnreachableError: `error`, when the next try would be after the budget.
        """
        longest = min(_FIRST_SECONDS * 2.0 ** min(self._failures, 16), _LONGEST_SECONDS)
        self._failures += 1
        wait = max(longest * self._jitter(), error.retry_after)
        if self._clock() + wait >= self._since + self._budget:
            raise error
        return wait
