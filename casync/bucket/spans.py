"""Ranges of an object that are worth one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

__all__ = ["JoinedRange", "spans"]


class JoinedRange(NamedTuple):
    """Bytes that one request reads: from `start` to `end`."""

    start: int
    end: int


def spans(
    ranges: Sequence[tuple[int, int]],
    gap: int,
    *,
    most: int | None = None,
    waste: int | None = None,
) -> Iterator[JoinedRange]:
    """Joins ranges that lie close together, those with the smallest gaps first.

    Args:
        ranges: Ranges (start, end), sorted.
        gap: Bytes between two ranges that may be fetched for nothing.
        most: Bytes of the longest span of several ranges; None for any.
        waste: Bytes that may be fetched for nothing in all; None for any.
    """
    if waste is not None:
        gaps = sorted(later[0] - before[1] for before, later in pairwise(ranges))
        sums = accumulate(max(one, 0) for one in gaps)
        fitting = (one for one, total in zip(gaps, sums, strict=True) if total <= waste)
        gap = min(max([0, *fitting]), gap)
    span: JoinedRange | None = None
    for start, end in ranges:
        if span is None:
            span = JoinedRange(start, end)
        elif start - span.end <= gap and (most is None or end - span.start <= most):
            span = JoinedRange(span.start, max(end, span.end))
        else:
            yield span
            span = JoinedRange(start, end)
    if span is not None:
        yield span
