"""One byte range of an HTTP request, and the validators that go with it (RFC 9110, 8 and 14).

Pure. Strict where the standard lets a server choose: several ranges are refused instead of
assembled, because each of them costs a walk, and what breaks the grammar is refused instead of
ignored, because the client would take the whole file for its part.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from casync.errors import UsageError

__all__ = ["ByteSpan", "UnsatisfiableError", "matches_etag", "parse_range", "range_applies"]

_UNIT: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(.*)", re.ASCII | re.DOTALL)
_RANGE: Final = re.compile(r"([0-9]{0,40})-([0-9]{0,40})", re.ASCII)
_ETAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


class ByteSpan(NamedTuple):
    """Bytes from `start` up to but without `end`."""

    start: int
    end: int


class UnsatisfiableError(UsageError):
    """A range that no part of the content answers; status 416."""


def parse_range(header: str, length: int) -> ByteSpan | None:
    """Reads a Range field for content of `length` bytes.

    Returns:
        The span, never empty; or None when its unit is not `bytes`, which must be ignored.

    Raises:
        UnsatisfiableError: It lies outside of the content, or asks for several parts.
        UsageError: It breaks the grammar.
    """
    unit = _UNIT.fullmatch(header.strip(" \t"))
    if unit is None:
        raise UsageError("a Range field reads bytes=FIRST-LAST")
    if unit[1].lower() != "bytes":
        return None
    if "," in unit[2]:
        raise UnsatisfiableError("only one range can be asked for at a time")
    match = _RANGE.fullmatch(unit[2].strip(" \t"))
    if match is None or match[0] == "-":
        raise UsageError("a Range field reads bytes=FIRST-LAST")
    first, last = match[1], match[2]
    if not first:
        wanted = min(int(last), length)
        if wanted == 0:
            raise UnsatisfiableError("the last 0 bytes are none")
        return ByteSpan(length - wanted, length)
    start = int(first)
    if last and int(last) < start:
        raise UsageError("a range must not end before it begins")
    if start >= length:
        raise UnsatisfiableError(f"the content ends at byte {length}")
    return ByteSpan(start, min(int(last) + 1, length) if last else length)


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether a Range field counts: without If-Range, or when that is exactly our strong tag.

    Dates never match, for the content has none.
    """
    return if_range is None or if_range.strip(" \t") == etag


def matches_etag(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match field names `etag`, by the weak comparison."""
    text = if_none_match.strip(" \t")
    if text == "*":
        return True
    at = 0
    while match := _ETAG.match(text, at):
        if f'"{match[2]}"' == etag:
            return True
        at = match.end()
    return False
