"""The throttle of a job: the rate, the burst, the order, and what a restart keeps."""

from __future__ import annotations

import threading

import pytest

from casync.errors import StoppedError
from casync.jobs.job import TokenLevel
from casync.limits import MIB
from casync.ops.download.throttle import Throttle, rate_of


class Stop(threading.Event):
    """Time passes here only while someone waits."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.time += timeout
        return self.is_set()

    def clock(self) -> float:
        return self.time


def throttle(stop: Stop, rate: float, level: TokenLevel | None = None) -> Throttle:
    return Throttle(rate, stop, lambda: stop.time + 1e9, level=level, clock=stop.clock)


@pytest.mark.parametrize(
    ("limit", "limit_bph", "rate"),
    [(0, 0, 0), (100, 0, 100), (0, 3600, 1), (100, 3600, 1), (1, 36000, 1)],
)
def test_the_lower_limit_counts(limit: float, limit_bph: float, rate: float) -> None:
    """D5: `--limit` and `--limit-bph` together."""
    assert rate_of(limit, limit_bph) == rate


def test_without_a_limit_nothing_waits() -> None:
    stop = Stop()
    bucket = throttle(stop, 0)
    bucket.take(10**12)
    assert stop.waits == []
    assert bucket.level is None


def test_a_burst_is_a_minute_of_the_rate_or_eight_mebibytes() -> None:
    for rate, burst in ((1000, 60_000), (10 * MIB, 8 * MIB)):
        stop = Stop()
        bucket = throttle(stop, rate)
        bucket.take(burst)
        assert stop.waits == []
        bucket.take(2 * rate)
        assert stop.waits == [pytest.approx(2.0)]


def test_bytes_are_paid_for_in_the_order_in_which_they_come() -> None:
    stop = Stop()
    bucket = throttle(stop, 1000, TokenLevel(0.0, stop.time + 1e9))
    started = stop.time
    for _ in range(5):
        bucket.take(500)
    assert stop.time - started == pytest.approx(2.5)


def test_nothing_starts_while_earlier_bytes_are_not_paid_for() -> None:
    stop = Stop()
    bucket = throttle(stop, 1000, TokenLevel(-3000.0, stop.time + 1e9))
    bucket.take()
    assert stop.waits == [pytest.approx(3.0)]
    bucket.take()
    assert len(stop.waits) == 1


@pytest.mark.parametrize(
    ("ago", "tokens"), [(0.0, -5000.0), (2.0, -3000.0), (10_000.0, 60_000.0), (-10_000.0, -5000.0)]
)
def test_a_restart_and_a_clock_that_jumps_grant_no_burst(ago: float, tokens: float) -> None:
    """D12: the level of the bucket survives a restart."""
    stop = Stop()
    bucket = throttle(stop, 1000, TokenLevel(-5000.0, stop.time + 1e9 - ago))
    level = bucket.level
    assert level is not None
    assert level.tokens == pytest.approx(tokens)


def test_a_stop_ends_a_long_wait_at_once() -> None:
    stopped = threading.Event()
    bucket = Throttle(1.0, stopped, lambda: 0.0)
    caught: list[StoppedError] = []

    def take() -> None:
        try:
            bucket.take(10**9)
        except StoppedError as error:
            caught.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    stopped.set()
    thread.join(10)
    assert caught
    with pytest.raises(StoppedError):
        bucket.take()
