"""Ranges of an object as the fewest requests that do not read much more."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from casync.bucket.spans import JoinedRange, spans
from casync.limits import KIB

__all__ = ["GAP_BYTES", "join_ranges", "take_ranges"]

GAP_BYTES: Final = 128 * KIB
"""Bytes that are read in vain rather than with another request."""


def join_ranges(ranges: Sequence[tuple[int, int]], gap: int = GAP_BYTES) -> list[JoinedRange]:
    """What to read for ranges (start, end) in any order, in order: more than `gap` bytes apart."""
    return list(spans(sorted(one for one in ranges if one[0] < one[1]), gap))


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
