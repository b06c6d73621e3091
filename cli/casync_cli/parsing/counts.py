"""Parses whole numbers, parts, percentages and digests."""

from __future__ import annotations

import re
from typing import Final

from casync.errors import UsageError

__all__ = ["parse_count", "parse_part", "parse_percent", "parse_sha256"]

_PART: Final = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", re.ASCII)
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%?", re.ASCII)
_SHA256: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


def parse_count(text: str, option: str, low: int, high: int) -> int:
    """Parses the whole number of `option`.

    Raises:
        UsageError: It is not a whole number from `low` to `high`.
    """
    digits = text.removeprefix("-") if low < 0 else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise UsageError(f"{option} takes a whole number, not {text}")
    number = int(text)
    if not low <= number <= high:
        raise UsageError(f"{option} takes {low} to {high}, not {text}")
    return number


def parse_part(text: str) -> tuple[int, int]:
    """Parses `K/N`, the K-th of N parts.

    Raises:
        UsageError: It is not that, or K is above N.
    """
    match = _PART.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise UsageError(
            f"--part takes K/N, K from 1 to N, not {text}", next_step="For example --part 2/8."
        )
    return int(match[1]), int(match[2])


def parse_percent(text: str) -> float:
    """Parses a percentage above 0 and up to 100; the percent sign is optional.

    Raises:
        UsageError: It is not a percentage in that range.
    """
    match = _PERCENT.fullmatch(text)
    percent = float(match[1]) if match else 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"not a percentage: {text}", next_step="Write it as in 5%.")
    return percent


def parse_sha256(text: str) -> bytes:
    """Parses `sha256:` and 64 hex digits.

    Raises:
        UsageError: It is anything else.
    """
    match = _SHA256.fullmatch(text.lower())
    if match is None:
        raise UsageError(
            f"not a digest: {text}", next_step="Write sha256: and the 64 digits of `sha256sum`."
        )
    return bytes.fromhex(match[1])
