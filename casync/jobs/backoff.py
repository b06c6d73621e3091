"""When to try again: exponential back-off with full jitter, and the server's Retry-After.

Attempts count only while nothing comes: an object of which every attempt brings a part is never
given up. Attempts that bring other bytes than announced count on their own, since that seldom
passes. Marc Brooker, "Exponential Backoff And Jitter" (AWS, 2015), shows why the jitter is full.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

__all__ = ["Attempts", "RetryPolicy", "is_temporary", "retry_after"]

_LONGEST_WISH: Final = 366 * 86400.0
"""Seconds. A longer wait is not a wait."""

_FINAL: Final = frozenset({501, 505, 506, 507, 508, 510, 511})
"""Statuses above 499 that say what the server does not do, however often it is asked."""


class RetryPolicy(NamedTuple):
    """How often an object is tried, and how long to wait between.

    Attributes:
        attempts: Attempts without progress, after which the object has failed.
        mismatches: Attempts that brought other bytes than announced, after which it has failed.
        base: Seconds that the first wait is at most; each later one is at most twice as long.
        longest: Seconds that no wait exceeds, unless the server asks for more.
        patience: Seconds beyond which a server's wish counts as a refusal.
    """

    attempts: int = 10
    mismatches: int = 3
    base: float = 1.0
    longest: float = 60.0
    patience: float = 3600.0

    def delay(self, attempts: Attempts, jitter: float, wish: float = 0.0) -> float | None:
        """Seconds until the next attempt; None if there shall be none.

        Args:
            attempts: The attempts so far.
            jitter: A random number from 0 up to 1.
            wish: Seconds that the server asks to wait. The jitter comes on top, so that clients
                that were told the same time do not return together.
        """
        if attempts.without_progress >= self.attempts or wish > self.patience:
            return None
        if attempts.mismatches >= self.mismatches:
            return None
        doubled = self.base * 2.0 ** min(max(attempts.without_progress - 1, 0), 60)
        return wish + jitter * min(doubled, self.longest)


class Attempts(NamedTuple):
    """Failed attempts at one object.

    Attributes:
        total: All of them.
        without_progress: Those since the last one that brought a part of it.
        mismatches: Those that brought other bytes than announced.
    """

    total: int = 0
    without_progress: int = 0
    mismatches: int = 0

    def after(self, *, progress: bool, mismatch: bool = False) -> Attempts:
        """One more has failed.

        Args:
            progress: Whether it brought a part of the object that is kept.
            mismatch: Whether it brought other bytes than announced.
        """
        return Attempts(
            self.total + 1,
            1 if progress else self.without_progress + 1,
            self.mismatches + mismatch,
        )


def is_temporary(status: int) -> bool:
    """Whether a request that got an HTTP status may succeed later."""
    return status in (408, 425, 429) or (500 <= status < 600 and status not in _FINAL)


def retry_after(field: str | None, now: float) -> float:
    """Seconds that a Retry-After field asks for; 0 if it is missing or cannot be parsed.

    Args:
        field: The field: seconds or a date.
        now: The present in seconds since 1970, best by the server's own Date field.
    """
    if field is None:
        return 0.0
    text = field.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 8 else _LONGEST_WISH
    try:
        wait = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), _LONGEST_WISH)
