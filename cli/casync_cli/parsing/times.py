"""Parses and formats durations (`30s`, `2h`, `1h30m`), and formats times (RFC 3339)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from casync.errors import UsageError

__all__ = ["format_duration", "format_moment", "parse_duration", "parse_interval"]

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d|w)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern} ?)+", re.ASCII)

_SHORTEST_INTERVAL: Final = 0.1

_FIRST_SECOND: Final = -62135596800  # 0001-01-01T00:00:00Z
_LAST_SECOND: Final = 253402300799  # 9999-12-31T23:59:59Z


def parse_duration(text: str) -> float:
    """Parses a duration in seconds: a sequence of numbers with units, or 0.

    Raises:
        UsageError: It is not a duration. A number without a unit is ambiguous.
    """
    text = text.strip()
    if text == "0":
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise UsageError(f"not a duration: {text}", next_step="Write it as in 30s, 2h or 7d.")
    return float(sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text)))


def parse_interval(text: str, option: str) -> float:
    """Parses the seconds between two reports: at least a tenth of one, so that they can be read.

    Raises:
        UsageError: It is not a duration, or shorter.
    """
    seconds = parse_duration(text)
    if seconds < _SHORTEST_INTERVAL:
        raise UsageError(f"{option} takes at least 100ms, not {text}")
    return seconds


def format_duration(seconds: float) -> str:
    """`seconds` for people: `0.4 s`, `1:05`, `2:03:04`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_moment(seconds: int) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, clamped to the years 1970 to 9999."""
    bounded = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
    return f"{datetime.fromtimestamp(bounded, UTC).replace(tzinfo=None).isoformat()}Z"
