"""The order in which objects are fetched: hosts, retries, the window, and the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from casync.errors import StoppedError
from casync.limits import JOB_WINDOW
from casync.ops.download.queue import Errand, FetchQueue, Task


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def queue(
    hosts: Iterator[str] | list[str],
    *,
    per_host: int = 100,
    most_held: int = 100,
    clock: Clock | None = None,
) -> FetchQueue[None]:
    tasks = (Task(index, host, None) for index, host in enumerate(hosts))
    return FetchQueue(
        tasks, cursor=0, per_host=per_host, most_held=most_held, clock=clock or Clock()
    )


def taken(fetches: FetchQueue[None], count: int) -> list[Task[None]]:
    found = [fetches.take() for _ in range(count)]
    return [task for task in found if isinstance(task, Task)]


def would_wait(fetches: FetchQueue[None]) -> bool:
    """Whether `take` waits now."""
    thread = threading.Thread(target=lambda: _quiet(fetches), daemon=True)
    thread.start()
    thread.join(0.1)
    waits = thread.is_alive()
    fetches.stop()
    thread.join()
    return waits


def _quiet(fetches: FetchQueue[None]) -> None:
    try:
        fetches.take()
    except StoppedError:
        return


def test_tasks_come_in_order_and_end() -> None:
    fetches = queue(["a"] * 3)
    tasks = taken(fetches, 3)
    assert [task.index for task in tasks] == [0, 1, 2]
    for cursor, task in enumerate(tasks, 1):
        fetches.done(task, cursor)
    assert fetches.take() is None
    assert fetches.take() is None


def test_a_host_has_at_most_its_share_and_others_go_on() -> None:
    fetches = queue(["a", "a", "a", "a", "b", "b"], per_host=2)
    tasks = taken(fetches, 4)
    assert [(task.host, task.index) for task in tasks] == [("a", 0), ("a", 1), ("b", 4), ("b", 5)]
    fetches.done(tasks[0], 1)
    assert taken(fetches, 1)[0].index == 2
    assert would_wait(fetches)


def test_a_retry_waits_without_a_connection_and_then_comes_first() -> None:
    clock = Clock()
    fetches = queue(["a"] * 5, per_host=1, clock=clock)
    (first,) = taken(fetches, 1)
    fetches.again(first, 10.0)
    (second,) = taken(fetches, 1)
    assert second.index == 1
    clock.time = 10.0
    fetches.done(second, 0)
    assert taken(fetches, 1) == [first]


def test_a_host_that_asks_for_a_pause_gets_it() -> None:
    clock = Clock()
    fetches = queue(["a", "a", "b"], clock=clock)
    (first,) = taken(fetches, 1)
    fetches.again(first, 1.0, rest=30.0)
    (other,) = taken(fetches, 1)
    assert other.host == "b"
    clock.time = 30.0
    assert [task.index for task in taken(fetches, 2)] == [0, 1]


def test_nothing_starts_beyond_the_window() -> None:
    fetches = queue(iter(["a"] * (JOB_WINDOW + 10)), per_host=JOB_WINDOW * 2)
    tasks = taken(fetches, JOB_WINDOW)
    for task in tasks[1:]:
        fetches.done(task, 0)
    thread_waits = threading.Event()
    found: list[Task[None] | Errand | None] = []

    def take() -> None:
        thread_waits.set()
        found.append(fetches.take())

    thread = threading.Thread(target=take)
    thread.start()
    thread_waits.wait()
    assert not found
    fetches.done(tasks[0], JOB_WINDOW)
    thread.join()
    assert [task.index for task in found if isinstance(task, Task)] == [JOB_WINDOW]


def test_what_waits_and_holds_memory_keeps_others_from_starting() -> None:
    clock = Clock()
    fetches = queue(["a"] * 4, most_held=2, clock=clock)
    first, second = taken(fetches, 2)
    fetches.again(first, 5.0, holds=True)
    fetches.again(second, 5.0, holds=True)
    clock.time = 5.0
    assert taken(fetches, 3)[:2] == [first, second]


def test_with_too_much_in_memory_only_that_goes_on() -> None:
    fetches = queue(["a"] * 4, most_held=1)
    (first,) = taken(fetches, 1)
    fetches.again(first, 5.0, holds=True)
    assert would_wait(fetches)


def test_the_end_waits_for_what_may_come_back() -> None:
    fetches = queue(["a"])
    (task,) = taken(fetches, 1)
    found: list[Task[None] | Errand | None] = []
    thread = threading.Thread(target=lambda: found.append(fetches.take()))
    thread.start()
    fetches.again(task, 0.0)
    thread.join()
    assert found == [task]


def test_a_task_whose_request_is_over_frees_its_host_but_not_the_end() -> None:
    fetches = queue(["a", "a"], per_host=1)
    (first,) = taken(fetches, 1)
    fetches.leave(first)
    (second,) = taken(fetches, 1)
    assert second.index == 1
    found: list[Task[None] | Errand | None] = [first]
    thread = threading.Thread(target=lambda: found.append(fetches.take(second, 0)))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    fetches.settle(1, 2)
    thread.join()
    assert found == [first, None]


def test_a_task_may_be_settled_before_its_thread_leaves_it() -> None:
    fetches = queue(["a"])
    (only,) = taken(fetches, 1)
    fetches.settle(1, 1)
    fetches.leave(only)
    assert fetches.take() is None


def test_a_thread_that_is_done_takes_the_place_of_its_task_at_once() -> None:
    fetches = queue(["a", "a"], per_host=1)
    (first,) = taken(fetches, 1)
    second = fetches.take(first, 1)
    assert isinstance(second, Task)
    assert second.index == 1
    assert fetches.take(second, 2) is None


def test_tasks_like_another_are_taken_with_it_and_come_back_first() -> None:
    fetches = queue(["a"] * 6, per_host=1)
    (first,) = taken(fetches, 1)
    others = fetches.take_like(first, 3, lambda _: True)
    assert [task.index for task in others] == [1, 2, 3]
    fetches.put_back(others[1:])
    fetches.settle(1, 2)
    fetches.done(first, 2)
    assert [task.index for task in taken(fetches, 1)] == [2]
    assert fetches.take_like(first, 3, lambda _: False) == []


def test_a_host_that_rests_is_asked_for_no_more() -> None:
    fetches = queue(["a"] * 4)
    first, second = taken(fetches, 2)
    fetches.again(second, 1.0, rest=30.0)
    assert fetches.take_like(first, 3, lambda _: True) == []


def test_a_stop_wakes_who_waits() -> None:
    fetches = queue(["a"])
    taken(fetches, 1)
    assert would_wait(fetches)
    with pytest.raises(StoppedError):
        fetches.take()


def test_errands_are_for_threads_without_a_task() -> None:
    fetches = queue(["a", "a", "b"], per_host=2)
    (first,) = taken(fetches, 1)
    errands = [Errand(host, lambda: None, lambda: None) for host in "abb"]
    for errand in errands:
        fetches.offer(errand)
    assert [task.index for task in taken(fetches, 2)] == [1, 2]
    assert fetches.take() is errands[1]  # of a host that is not asked by two yet
    assert fetches.withdraw(errands[2])
    assert not fetches.withdraw(errands[1])
    fetches.ran(errands[1])
    fetches.done(first, 0)
    assert fetches.take() is errands[0]
