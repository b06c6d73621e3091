"""Ranges that are joined to fewer requests."""

from __future__ import annotations

from casync.bucket.spans import spans

RANGES = [(0, 10), (15, 20), (50, 60), (61, 70), (200, 210)]


def test_ranges_closer_than_the_gap_are_joined() -> None:
    assert list(spans(RANGES, 5)) == [(0, 20), (50, 70), (200, 210)]
    assert list(spans(RANGES, 0)) == RANGES
    assert list(spans(RANGES, 1000)) == [(0, 210)]
    assert list(spans([], 5)) == []


def test_a_span_is_bounded() -> None:
    assert list(spans(RANGES, 1000, most=60)) == [(0, 60), (61, 70), (200, 210)]
    assert list(spans([(0, 500)], 0, most=60)) == [(0, 500)]


def test_the_smallest_gaps_are_filled_first() -> None:
    assert list(spans(RANGES, 1000, waste=6)) == [(0, 20), (50, 70), (200, 210)]
    assert list(spans(RANGES, 1000, waste=5)) == [(0, 10), (15, 20), (50, 70), (200, 210)]
    assert list(spans(RANGES, 1000, waste=36)) == [(0, 70), (200, 210)]


def test_ranges_that_overlap_are_one() -> None:
    assert list(spans([(0, 10), (5, 8), (9, 20)], 0)) == [(0, 20)]
    assert list(spans([(0, 10), (5, 8), (9, 20)], 0, waste=0)) == [(0, 20)]
