"""Sizes and counts as text for people: `412 B`, `1.46 GiB`, `1 file`."""

from __future__ import annotations

from typing import Final

__all__ = ["UNITS", "format_count", "format_size"]

UNITS: Final = "KMGTPE"
"""The first letters of the units, each 1024 times the one before."""


def format_size(count: int) -> str:
    """`count` bytes in at most three digits and a unit: `412 B`, `1.46 GiB`."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in UNITS:
        value /= 1024
        if value < 999.5 or unit == UNITS[-1]:
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}iB"


def format_count(count: int, noun: str) -> str:
    """`count` things with their noun, a regular plural if need be: `1 file`, `2 pushes`."""
    if count == 1:
        return f"{count} {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith('sh') else 's'}"
