from __future__ import annotations

from collections.abc import Callable

import pytest

from casync.errors import UnreachableError
from casync.remote.http.outage import Outage
from casync.remote.http.retry import Retry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tries(budget: float, clock: Clock, jitter: Callable[[], float]) -> Retry:
    return Retry(budget, clock=clock, jitter=jitter, outage=Outage("here", None, clock))


def waits(retry: Retry, clock: Clock, error: UnreachableError, *, took: float = 0.0) -> list[float]:
    """All waits until the retry gives up, with tries that take some time each."""
    found: list[float] = []
    with pytest.raises(UnreachableError) as caught:
        _wait_on(retry, clock, error, took, found)
    assert caught.value is error
    return found


def _wait_on(
    retry: Retry, clock: Clock, error: UnreachableError, took: float, found: list[float]
) -> None:
    while True:
        found.append(retry.wait_after(error))
        clock.now += found[-1] + took


def test_waits_grow_and_are_bounded() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 1.0)
    found = waits(retry, clock, UnreachableError("down"))
    assert found[:7] == [0.25, 0.5, 1, 2, 4, 8, 10]
    assert set(found[6:]) == {10}
    assert sum(found) < 60


def test_refused_connections_are_tried_often() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 1.0)
    found = waits(retry, clock, UnreachableError("down", refused=True))
    assert found[:5] == [0.1, 0.2, 0.4, 0.8, 1]
    assert set(found[4:]) == {1}


def test_jitter_is_full() -> None:
    retry = tries(60, Clock(), lambda: 0.0)
    assert retry.wait_after(UnreachableError("down")) == 0
    half = tries(60, Clock(), lambda: 0.5)
    assert half.wait_after(UnreachableError("down")) == 0.125


def test_a_server_may_name_the_time_to_wait() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 1.0)
    assert retry.wait_after(UnreachableError("busy", retry_after=25)) == 25
    assert retry.wait_after(UnreachableError("busy", retry_after=0.1)) == 0.5


def test_a_time_beyond_the_budget_is_not_waited_for() -> None:
    error = UnreachableError("busy", retry_after=1e9)
    assert waits(tries(60, Clock(), lambda: 1.0), Clock(), error) == []


def test_the_budget_includes_the_tries_themselves() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 0.0)
    assert len(waits(retry, clock, UnreachableError("slow"), took=25.0)) == 3


def test_the_first_try_counts() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 0.0)
    clock.now += 59
    assert retry.left == 1
    assert retry.wait_after(UnreachableError("slow")) == 0
    clock.now += 1
    assert retry.left == 0
    with pytest.raises(UnreachableError):
        retry.wait_after(UnreachableError("slow"))


def test_time_in_which_data_arrives_does_not_count_in_the_first_try() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 0.0)
    clock.now += 500
    retry.flow(490)
    assert retry.left == 50
    retry.wait_after(UnreachableError("broke off"))
    clock.now += 500
    retry.flow(490)
    with pytest.raises(UnreachableError):
        retry.wait_after(UnreachableError("broke off"))


def test_without_a_budget_one_try_may_take_any_time() -> None:
    clock = Clock()
    retry = tries(0, clock, lambda: 0.0)
    clock.now += 1e6
    assert retry.left == float("inf")


def test_no_budget_means_no_second_try() -> None:
    assert waits(tries(0, Clock(), lambda: 0.0), Clock(), UnreachableError("x")) == []


def test_progress_renews_the_budget() -> None:
    clock = Clock()
    retry = tries(60, clock, lambda: 1.0)
    error = UnreachableError("down")
    for _ in range(100):
        assert retry.wait_after(error) == 0.25
        clock.now += 50
        retry.progress()


def test_many_failures_do_not_overflow() -> None:
    retry = tries(60, Clock(), lambda: 1.0)
    for _ in range(5000):
        assert retry.wait_after(UnreachableError("down")) <= 10
