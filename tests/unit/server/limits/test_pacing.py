"""Slow connections are detected, with simulated time."""

import pytest
from casync_server.limits.pacing import Late, Pacing
from casync_server.settings import ServerSettings

LIMITS = ServerSettings(header_seconds=10, idle_seconds=30, stall_seconds=10, rate=1000)


def test_a_head_has_an_absolute_deadline() -> None:
    pacing = Pacing(LIMITS, 100.0)
    assert pacing.late(109.9, 0) is None
    assert pacing.late(110.1, 0) is Late.HEAD


def test_a_body_has_a_rate() -> None:
    pacing = Pacing(LIMITS, 0.0)
    pacing.body(0.0)
    pacing.received(5000)
    assert pacing.late(14.9, 0) is None
    assert pacing.late(15.1, 0) is Late.BODY


def test_an_answer_has_no_deadline() -> None:
    pacing = Pacing(LIMITS, 0.0)
    pacing.body(0.0)
    pacing.answer()
    assert pacing.late(1e6, 0) is None


def test_idle_connections_time_out() -> None:
    pacing = Pacing(LIMITS, 0.0)
    pacing.rest(50.0)
    resting = pacing.idle
    assert resting
    assert pacing.late(79.0, 0) is None
    assert pacing.late(81.0, 0) is Late.IDLE
    pacing.head(81.0)
    assert not pacing.idle
    assert pacing.late(90.0, 0) is None


@pytest.mark.parametrize(("unsent", "allowed"), [(100_000, 10), (50_000, 60), (0, 110)])
def test_a_reader_has_a_rate(unsent: int, allowed: int) -> None:
    pacing = Pacing(LIMITS, 0.0)
    pacing.body(0.0)
    pacing.answer()
    pacing.block(1000.0, 100_000)
    pacing.block(1005.0, 1)  # still the same block
    assert pacing.late(1000.0 + allowed - 0.1, unsent) is None
    assert pacing.late(1000.0 + allowed + 0.1, unsent) is Late.READER
    pacing.unblock()
    assert pacing.late(1e6, unsent) is None
