"""Ranges of an object that are worth one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["JoinedRange", "spans"]


class JoinedRange(NamedTuple):
    """Bytes that one request reads: from `start` to `end`."""

    start: int
    end: int


def spans(
    ranges: Iterable[tuple[int, int]], gap: int, most: int | None = None
) -> Iterator[JoinedRange]:
    """Joins ranges that lie close together.

    Args:
        ranges: Ranges (start, end), sorted.
        gap: Bytes between two ranges that may be fetched for nothing.
        most: Bytes of the longest span of several ranges; None for any.
    """
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
