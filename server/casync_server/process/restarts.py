"""Decides whether and when a dead worker is restarted. Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RestartPolicy", "StoreDeaths"]

_WINDOW: Final = 60.0
"""Seconds over which deaths are counted."""

_MOST: Final = 6
"""Deaths in a window after which the server gives up: the cause is not a single request."""

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 1.0
"""Seconds before a restart; doubled with each death in the window."""


_STORE_WINDOW: Final = 3600.0
_MOST_IN_STORE: Final = 3
"""Deaths on one store within that many seconds after which it is no longer used."""


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


class StoreDeaths:
    """Counts the deaths of workers on each store, by its namespace."""

    def __init__(self) -> None:
        self._deaths: dict[str, list[float]] = {}

    def died(self, namespace: str, now: float) -> bool:
        """Whether the store has now killed so many that it must not be used as it is."""
        recent = [then for then in self._deaths.get(namespace, []) if now - then <= _STORE_WINDOW]
        self._deaths[namespace] = [*recent, now]
        if len(recent) + 1 < _MOST_IN_STORE:
            return False
        del self._deaths[namespace]
        return True
