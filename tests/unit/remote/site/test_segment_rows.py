"""What one request to a segment reads."""

from __future__ import annotations

from casync.remote.site.segment_rows import SegmentRows

SIZE = 1000


def row(number: int) -> tuple[int, int]:
    return number * SIZE, (number + 1) * SIZE


def rows(*numbers: int) -> SegmentRows:
    """A segment of which a map lists rows."""
    made = SegmentRows()
    made.add([row(number) for number in numbers])
    return made


def span(
    made: SegmentRows, number: int, gap: int = 0, ahead: int = 0, most: int = 1 << 20
) -> range:
    """The numbers of the rows that are read with one."""
    taken = made.take(row(number)[0], gap=gap, ahead=ahead, most=most)
    return range(taken.span.start // SIZE, taken.span.end // SIZE)


def test_rows_that_were_asked_for_and_lie_end_to_end_are_read_together() -> None:
    made = rows(*range(20))
    made.ask([row(number) for number in range(5, 12)])
    assert span(made, 8) == range(5, 12)


def test_rows_that_are_not_listed_are_read_as_well() -> None:
    made = SegmentRows()
    assert made.ask([row(3), row(4)]) == [row(3), row(4)]
    assert made.ask([row(4), row(5)]) == [row(5)]
    assert span(made, 3) == range(3, 6)


def test_a_gap_is_read_if_it_is_short_whether_rows_lie_in_it_or_not() -> None:
    for listed in (range(20), [2, 5]):
        for gap, end in ((2 * SIZE, 6), (2 * SIZE - 1, 3)):
            made = rows(*listed)
            made.ask([row(2), row(5)])
            assert span(made, 2, gap=gap) == range(2, end)


def test_rows_that_follow_are_read_ahead_as_far_as_there_is_room() -> None:
    made = rows(*range(20))
    made.ask([row(2), row(3)])
    assert span(made, 2, ahead=4 * SIZE) == range(2, 8)
    made = rows(0, 2, 3, 10)
    made.ask([row(2)])
    assert span(made, 2, ahead=4 * SIZE) == range(2, 4), "a gap ends it"


def test_what_was_taken_is_not_read_again_until_it_is_released() -> None:
    made = rows(*range(10))
    made.ask([row(number) for number in range(10)])
    assert span(made, 4, most=4 * SIZE) == range(1, 5)
    assert span(made, 6) == range(5, 10)
    assert span(made, 0) == range(1)
    made.release([row(number)[0] for number in range(1, 5)])
    assert span(made, 3) == range(1, 5)


def test_no_request_is_longer_than_said_unless_a_row_is() -> None:
    made = rows(*range(10))
    made.ask([row(number) for number in range(10)])
    assert len(span(made, 0, most=3 * SIZE)) == 3
    assert len(span(made, 9, most=1)) == 1


def test_rows_of_a_lying_map_that_overlap_are_read_whole() -> None:
    made = SegmentRows()
    made.ask([(0, 500), (100, 200), (150, 160)])
    assert made.take(0, gap=0, ahead=0, most=1000).span == (0, 500)
    made.ask([(100, 700)])
    assert made.take(100, gap=0, ahead=0, most=1).span.end == 700


def test_a_segment_is_dense_if_most_between_the_first_and_the_last_row_is_wanted() -> None:
    made = rows(*range(20))
    made.ask([row(4), row(6)])
    assert made.is_dense()
    made.ask([row(12)])
    assert not made.is_dense()
    assert made.unasked([row(4)[0], row(5)[0]]) == SIZE
