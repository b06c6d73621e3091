"""When to ask a server again, and when to give up.

A policy without clock, sleep or randomness of its own: they are handed in. Only `UnreachableError`
is worth another try. Waiting grows exponentially with full jitter (Brooker, "Exponential Backoff
And Jitter", 2015), so that many clients of a server that comes back do not arrive together. A
server that names a time is not asked before it.

The budget is for one stretch without progress: a long transfer over a bad line goes on for as long
as it gets anywhere.
"""

from __future__ import annotations

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
        budget: Seconds from the first failure to the last try; 0 never tries again.
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
        self._since = 0.0

    def progress(self) -> None:
        """Something was achieved: the next failure is a first one again."""
        self._failures = 0

    def wait_after(self, error: UnreachableError) -> float:
        """Seconds to wait before the next try.

        Raises:
            UnreachableError: `error`, when the next try would be after the budget.
        """
        now = self._clock()
        if not self._failures:
            self._since = now
        longest = min(_FIRST_SECONDS * 2.0 ** min(self._failures, 16), _LONGEST_SECONDS)
        self._failures += 1
        wait = max(longest * self._jitter(), error.retry_after)
        if now + wait >= self._since + self._budget:
            raise error
        return wait
