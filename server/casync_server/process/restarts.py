"""Decides whether and when a dead worker is restarted. Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RestartPolicy"]

_WINDOW: Final = 60.0
"""Seconds over which deaths are counted."""

_MOST: Final = 6
"""Deaths in a window after which the server gives up: the cause is not a single request."""

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 1.0
"""Seconds before a restart; doubled with each death in the window."""


class RestartPolicy:
    """Counts the deaths of all workers of a server."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def died(self, now: float) -> float | None:
        """Seconds to wait before the next start, or None to give up.

        Args:
            now: Seconds of a monotonic clock.
        """
        while self._deaths and now - self._deaths[0] > _WINDOW:
            self._deaths.popleft()
        self._deaths.append(now)
        if len(self._deaths) > _MOST:
            return None
        delay: float = _FIRST_DELAY * 2 ** (len(self._deaths) - 1)
        return min(delay, _LONGEST_DELAY)
