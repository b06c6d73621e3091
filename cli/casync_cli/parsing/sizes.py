"""Parses sizes and rates: `64KiB`, `1.5G`, `10MB/s`, `20G/h`. Units are powers of 1024."""

from __future__ import annotations

import re
from typing import Final

from casync.errors import UsageError
from casync.limits import MIN_HOURLY, MIN_RATE
from casync.sizes import UNITS, format_size

__all__ = ["parse_hourly", "parse_rate", "parse_size"]

_SIZE: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?) ?(?:([KMGTPE])?i?B?)", re.ASCII | re.I)


def parse_size(text: str) -> int:
    """Parses a size in bytes.

    Raises:
        UsageError: It is not a size, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a size: {text}", next_step="Write it as in 4096, 64KiB or 1.5G.")
    whole, _, fraction = match[1].partition(".")
    unit = 1 << 10 * (UNITS.index(match[2].upper()) + 1) if match[2] else 1
    # Integers, because a float loses bytes above 2**53.
    part, rest = divmod(int(fraction or 0) * unit, int("1" + "0" * len(fraction)))
    if rest and unit == 1:
        raise UsageError(f"not a whole number of bytes: {text}")
    return int(whole) * unit + part


def parse_rate(text: str) -> int:
    """Parses bytes per second; `/s` is optional.

    Raises:
        UsageError: It is not a rate, or below `MIN_RATE`.
    """
    rate = parse_size(text.strip().removesuffix("/s"))
    if rate < MIN_RATE:
        raise _too_low(text, f"{MIN_RATE} bytes per second")
    return rate


def parse_hourly(text: str) -> int:
    """Parses bytes per hour; `/h` is optional.

    Raises:
        UsageError: It is not a rate, or below `MIN_HOURLY`.
    """
    rate = parse_size(text.strip().removesuffix("/h"))
    if rate < MIN_HOURLY:
        raise _too_low(text, f"{format_size(MIN_HOURLY)} per hour")
    return rate


def _too_low(text: str, least: str) -> UsageError:
    return UsageError(
        f"a limit of {text} is too low: the lowest is {least}", next_step="Omit it for no limit."
    )
