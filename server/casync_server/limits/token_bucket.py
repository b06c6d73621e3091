"""A token bucket: a reserve that refills at a steady rate. Not thread-safe."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """A limited amount of seconds, requests, or any other unit.

    Args:
        rate: Amount that is refilled per second.
        reserve: Largest amount, and the amount at the start.
        now: Monotonic seconds.
    """

    def __init__(self, rate: float, reserve: float, now: float) -> None:
        self._rate = rate
        self._reserve = reserve
        self._left = reserve
        self._at = now

    def left(self, now: float) -> float:
        """The amount left; negative if more was spent."""
        self._left = min(self._left + (now - self._at) * self._rate, self._reserve)
        self._at = now
        return self._left

    def spend(self, amount: float) -> None:
        """Takes `amount`, even if less is left."""
        self._left -= amount

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is left; infinite if nothing is refilled."""
        lacking = amount - self.left(now)
        if lacking <= 0:
            return 0.0
        return lacking / self._rate if self._rate else float("inf")
