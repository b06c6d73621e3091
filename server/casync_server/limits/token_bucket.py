"""A reserve that is spent, and comes back at a steady rate. Not safe for threads by itself."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """Seconds, requests, or whatever else somebody may have only so much of.

    Args:
        rate: How much comes back in a second.
        reserve: How much there is at most, and in the beginning.
        now: Seconds, rising.
    """

    def __init__(self, rate: float, reserve: float, now: float) -> None:
        self._rate = rate
        self._reserve = reserve
        self._left = reserve
        self._at = now

    def left(self, now: float) -> float:
        """How much there is; below 0 when more was spent."""
        self._left = min(self._left + (now - self._at) * self._rate, self._reserve)
        self._at = now
        return self._left

    def spend(self, amount: float) -> None:
        """Takes some out, whether it is there or not."""
        self._left -= amount

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there will be `amount`; infinite when nothing comes back."""
        lacking = amount - self.left(now)
        if lacking <= 0:
            return 0.0
        return lacking / self._rate if self._rate else float("inf")
