"""Ranges of an object as the fewest requests that do not read much more."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from casync.limits import KIB

__all__ = ["GAP_BYTES", "JoinedRange", "join_ranges", "take_ranges"]

GAP_BYTES: Final = 128 * KIB
"""Bytes that are read in vain rather than with another request."""


class JoinedRange(NamedTuple):
    """Bytes that one request reads: from `start` to `end`."""

    start: int
    end: int


def join_ranges(ranges: Sequence[tuple[int, int]], gap: int = GAP_BYTES) -> list[JoinedRange]:
    """What to read for ranges (start, end) in any order, in order: more than `gap` bytes apart."""
    joined: list[JoinedRange] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if joined and start - joined[-1].end <= gap:
            joined[-1] = JoinedRange(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(JoinedRange(start, end))
    return joined


def take_ranges(
    ranges: Sequence[tuple[int, int]], joined: Sequence[JoinedRange], data: Sequence[bytes]
) -> list[bytes]:
    """The bytes of each range, out of those of the joined ones that `join_ranges` made of them.

    A joined one that reaches beyond the end of the object has fewer bytes, and so have its ranges.
    """
    starts = [each.start for each in joined]
    views = [memoryview(each) for each in data]
    found: list[bytes] = []
    for start, end in ranges:
        if start >= end:
            found.append(b"")
            continue
        at = bisect_right(starts, start) - 1
        found.append(bytes(views[at][start - starts[at] : end - starts[at]]))
    return found
