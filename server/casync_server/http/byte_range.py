"""Byte ranges and validators of HTTP requests (RFC 9110, sections 8 and 14).

Pure, and strict where the RFC leaves a choice. Several ranges are refused, because each costs a
walk of the tree. A malformed field is refused instead of ignored, because the client would take the
whole file for its part.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from casync.errors import UsageError
from casync.sizes import format_count

__all__ = ["ByteSpan", "UnsatisfiableError", "matches_etag", "parse_range", "range_applies"]

_UNIT: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(.*)", re.ASCII | re.DOTALL)
_RANGE: Final = re.compile(r"([0-9]{0,40})-([0-9]{0,40})", re.ASCII)
_ETAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


class ByteSpan(NamedTuple):
    """Bytes from `start` to `end`, exclusive."""

    start: int
    end: int


class UnsatisfiableError(UsageError):
    """The range cannot be served; status 416."""


def parse_range(header: str, length: int) -> ByteSpan | None:
    """Reads a Range field for content of `length` bytes.

    Returns:
        The span, never empty; None if the unit is not `bytes`: such a field is ignored.

    Raises:
        UnsatisfiableError: It lies outside the content, or lists several ranges.
        UsageError: It is malformed.
    """
    unit = _UNIT.fullmatch(header.strip(" \t"))
    if unit is None:
        raise UsageError("a Range header must be bytes=FIRST-LAST")
    if unit[1].lower() != "bytes":
        return None
    if "," in unit[2]:
        raise UnsatisfiableError("only one range per request is supported")
    match = _RANGE.fullmatch(unit[2].strip(" \t"))
    if match is None or match[0] == "-":
        raise UsageError("a Range header must be bytes=FIRST-LAST")
    first, last = match[1], match[2]
    if not first:
        wanted = min(int(last), length)
        if wanted == 0:
            raise UnsatisfiableError("the range is empty")
        return ByteSpan(length - wanted, length)
    start = int(first)
    if last and int(last) < start:
        raise UsageError("the range ends before it begins")
    if start >= length:
        raise UnsatisfiableError(
            f"the range begins beyond the content, which has {format_count(length, 'byte')}"
        )
    return ByteSpan(start, min(int(last) + 1, length) if last else length)


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether a Range field applies: there is no If-Range, or it is exactly our strong ETag.

    Dates never match: the content has no date.
    """
    return if_range is None or if_range.strip(" \t") == etag


def matches_etag(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match field matches `etag` by weak comparison."""
    text = if_none_match.strip(" \t")
    if text == "*":
        return True
    at = 0
    while match := _ETAG.match(text, at):
        if f'"{match[2]}"' == etag:
            return True
        at = match.end()
    return False
