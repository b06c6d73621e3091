"""Reading ahead in a segment."""

from __future__ import annotations

import random

from casync.remote.site.read_ahead import ReadAhead

DATA = random.Random(3).randbytes(8 << 20)


class Segment:
    """A segment that counts what is fetched of it."""

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.reader = ReadAhead(self.fetch, len(DATA))

    def fetch(self, start: int, end: int) -> bytes | None:
        assert end <= len(DATA)
        self.fetched.append(end - start)
        return DATA[start:end]

    def read(self, start: int, end: int) -> None:
        assert self.reader.read(start, end) == DATA[start:end]


def test_short_ranges_in_a_row_take_few_requests() -> None:
    segment = Segment()
    for start in range(0, len(DATA), 20_000):
        segment.read(start, min(start + 20_000, len(DATA)))
    assert len(segment.fetched) <= 10
    assert sum(segment.fetched) == len(DATA)


def test_small_gaps_do_not_end_a_row() -> None:
    segment = Segment()
    for start in range(0, 4 << 20, 30_000):
        segment.read(start, start + 20_000)
    assert len(segment.fetched) <= 10


def test_ranges_that_come_out_of_order_are_read_once() -> None:
    segment = Segment()
    starts = list(range(0, 4 << 20, 20_000))
    for at in range(0, len(starts), 4):
        for start in reversed(starts[at : at + 4]):
            segment.read(start, start + 20_000)
    assert len(segment.fetched) <= 20
    assert sum(segment.fetched) <= 9 << 20


def test_ranges_that_are_scattered_are_read_as_they_are() -> None:
    segment = Segment()
    starts = list(range(0, len(DATA) - 20_000, 500_000))
    random.Random(1).shuffle(starts)
    for start in starts:
        segment.read(start, start + 20_000)
    assert set(segment.fetched) == {20_000}


def test_any_order_of_ranges_gives_their_bytes() -> None:
    segment = Segment()
    chance = random.Random(7)
    at = 0
    for _ in range(2000):
        at = max(0, min(at + chance.randrange(-50_000, 90_000), len(DATA) - 300_000))
        segment.read(at, at + chance.randrange(1, 300_000))


def test_a_segment_that_is_gone_has_no_bytes() -> None:
    reader = ReadAhead(lambda start, end: None, 1000)
    assert reader.read(0, 10) is None
    assert reader.read(10, 20) is None
