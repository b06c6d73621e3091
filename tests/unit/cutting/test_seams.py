"""Joining seams: where cuts coincide, and where they never do."""

from __future__ import annotations

import pytest

from casync.cutting.seams import join_cuts, zero_chunks


class Ruler:
    """Cuts every `length` bytes, and records where it was asked to."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.asked: list[int] = []

    def __call__(self, position: int) -> int:
        self.asked.append(position)
        return self.length


def test_a_span_that_begins_at_a_cut_is_taken_whole() -> None:
    ruler = Ruler(10)
    assert join_cuts(100, 100, [7, 8, 9], ruler) == (100, 0)
    assert ruler.asked == []


def test_a_span_is_true_from_the_first_cut_that_coincides() -> None:
    ruler = Ruler(10)
    assert join_cuts(95, 100, [7, 8, 10, 5], ruler) == (115, 2)
    assert ruler.asked == [95, 105]


def test_the_last_cut_may_lie_in_the_span_already() -> None:
    ruler = Ruler(10)
    assert join_cuts(107, 100, [7, 8], ruler) == (107, 1)
    assert join_cuts(115, 100, [7, 8], ruler) == (115, 2)
    assert ruler.asked == []


def test_a_span_before_the_last_cut_gives_nothing() -> None:
    ruler = Ruler(10)
    assert join_cuts(500, 100, [7, 8], ruler) == (500, 2)
    assert ruler.asked == []


def test_a_span_whose_cuts_never_coincide_is_cut_again_to_its_end() -> None:
    ruler = Ruler(10)
    assert join_cuts(95, 100, [10] * 5, ruler) == (155, 5)
    assert ruler.asked == [95, 105, 115, 125, 135, 145]


def test_a_span_without_chunks_is_cut_up_to_its_start() -> None:
    ruler = Ruler(10)
    assert join_cuts(95, 120, (), ruler) == (125, 0)


@pytest.mark.parametrize(
    ("position", "end", "times"), [(0, 0, 0), (0, 99, 0), (0, 100, 1), (5, 1000, 9), (200, 100, 0)]
)
def test_zeros_are_counted(position: int, end: int, times: int) -> None:
    assert zero_chunks(position, end, 100) == times
