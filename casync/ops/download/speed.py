"""Speeds as people want to see them: of the last seconds, and steady."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Speed"]

_MEMORY_SECONDS: Final = 5.0
"""After this time a measurement counts for a third."""


class Speed:
    """An average of bytes per second that forgets.

    Args:
        now: The time of the first byte, in seconds.
    """

    def __init__(self, now: float) -> None:
        self._at = now
        self._done = 0
        self._rate = 0.0
        self._weight = 0.0

    def measure(self, done: int, now: float) -> float:
        """The speed, when `done` bytes have come by `now`."""
        passed = now - self._at
        if passed <= 0:
            return self.value
        keep = math.exp(-passed / _MEMORY_SECONDS)
        self._rate = self._rate * keep + max(done - self._done, 0) / passed * (1 - keep)
        self._weight = self._weight * keep + (1 - keep)
        self._at, self._done = now, done
        return self.value

    @property
    def value(self) -> float:
        """The speed at the last measurement, in bytes per second."""
        return self._rate / self._weight if self._weight else 0.0
