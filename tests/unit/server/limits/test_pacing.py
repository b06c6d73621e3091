"""When a connection is too slow, without waiting for it."""

import pytest
from casync_server.limits.pacing import Late, Pace
from casync_server.settings import ServerSettings

LIMITS = ServerSettings(header_seconds=10, idle_seconds=30, stall_seconds=10, rate=1000)


def test_a_head_has_an_absolute_deadline() -> None:
    pace = Pace(LIMITS, 100.0)
    assert pace.late(109.9, 0) is None
    assert pace.late(110.1, 0) is Late.HEAD


def test_a_body_has_a_rate() -> None:
    pace = Pace(LIMITS, 0.0)
    pace.body(0.0)
    pace.received(5000)
    assert pace.late(14.9, 0) is None
    assert pace.late(15.1, 0) is Late.BODY


def test_an_answer_may_take_its_time() -> None:
    pace = Pace(LIMITS, 0.0)
    pace.body(0.0)
    pace.answer()
    assert pace.late(1e6, 0) is None


def test_idleness_ends() -> None:
    pace = Pace(LIMITS, 0.0)
    pace.rest(50.0)
    resting = pace.idle
    assert resting
    assert pace.late(79.0, 0) is None
    assert pace.late(81.0, 0) is Late.IDLE
    pace.head(81.0)
    assert not pace.idle
    assert pace.late(90.0, 0) is None


@pytest.mark.parametrize(("unsent", "allowed"), [(100_000, 10), (50_000, 60), (0, 110)])
def test_a_reader_has_a_rate(unsent: int, allowed: int) -> None:
    pace = Pace(LIMITS, 0.0)
    pace.body(0.0)
    pace.answer()
    pace.block(1000.0, 100_000)
    pace.block(1005.0, 1)  # still the same block
    assert pace.late(1000.0 + allowed - 0.1, unsent) is None
    assert pace.late(1000.0 + allowed + 0.1, unsent) is Late.READER
    pace.unblock()
    assert pace.late(1e6, unsent) is None
