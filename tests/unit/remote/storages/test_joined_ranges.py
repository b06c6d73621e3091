"""Ranges are joined into few requests, and their bytes taken out of the answers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from casync.remote.storages.joined_ranges import join_ranges, take_ranges

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def test_ranges_that_lie_close_together_are_joined() -> None:
    assert join_ranges([(30, 40), (0, 10), (15, 20), (5, 8)], gap=5) == [(0, 20), (30, 40)]
    assert join_ranges([(7, 7), (9, 3)], gap=5) == []


@given(RANGES, st.integers(0, 20), st.integers(0, 60))
def test_each_range_has_its_bytes(ranges: list[tuple[int, int]], gap: int, size: int) -> None:
    data = bytes(range(size))
    joined = join_ranges(ranges, gap)
    assert all(one.end + gap < other.start for one, other in pairwise(joined))
    answers = [data[start:end] for start, end in joined]
    assert take_ranges(ranges, joined, answers) == [data[start:end] for start, end in ranges]
