"""Threads that read: callers take turns, and a long call lets others pass."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from typing import TypeVar

import pytest
from casync_server.limits.request_work import WorkOfRequest, checkpoint
from casync_server.reading.read_pool import ReadPool
from starlette.types import Receive, Scope, Send

from casync.access.waiting import held_by_one
from casync.errors import UnreachableError

_T = TypeVar("_T")

WAIT = 60.0
"""Seconds after which a test gives up."""


def spin() -> None:
    """Uses a slice of time, and reaches a checkpoint."""
    end = time.thread_time() + 0.06
    while time.thread_time() < end:
        pass
    checkpoint()


def submit(pool: ReadPool, address: str, function: Callable[[], _T]) -> Future[_T]:
    """Submits a function in a request from `address`."""
    futures: list[Future[_T]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        futures.append(pool.submit(function))

    scope: Scope = {"type": "http", "client": (address, 1), "path": "/"}
    request = WorkOfRequest(app, 1000.0)(scope, None, None)  # type: ignore[arg-type]
    copy_context().run(asyncio.run, request)
    return futures[0]


def test_callers_take_turns() -> None:
    pool = ReadPool(1)
    begin = threading.Event()
    order: list[str] = []
    held = submit(pool, "192.0.2.9", lambda: begin.wait(WAIT))
    futures = [
        submit(pool, f"192.0.2.{label[0]}", lambda label=label: order.append(label))  # type: ignore[misc]
        for label in ("1a", "1b", "1c", "1d", "2a", "2b", "3a")
    ]
    begin.set()
    assert held.result(WAIT)
    for future in futures:
        future.result(WAIT)
    assert order == ["1a", "2a", "3a", "1b", "2b", "1c", "1d"]
    pool.close()


def test_a_long_call_lets_others_pass() -> None:
    pool = ReadPool(1)
    passed = threading.Event()

    def walk() -> bool:
        for _ in range(10**8):
            checkpoint()
            if passed.is_set():
                return True
        return False

    long = [submit(pool, "192.0.2.1", walk) for _ in range(4)]
    submit(pool, "192.0.2.2", passed.set).result(WAIT)
    assert all(future.result(WAIT) for future in long)
    pool.close()


def test_calls_that_wait_for_a_suspended_one_let_it_go_on() -> None:
    pool = ReadPool(2)
    lock, begun, waiting = threading.Lock(), threading.Event(), threading.Semaphore(0)

    def make() -> bool:
        with held_by_one(lock):
            begun.set()
            for _ in range(6):
                assert waiting.acquire(timeout=WAIT)
            for _ in range(3):
                spin()
        return True

    def want() -> bool:
        waiting.release()
        with held_by_one(lock):
            return True

    maker = submit(pool, "192.0.2.1", make)
    assert begun.wait(WAIT)
    others = [submit(pool, f"192.0.2.{number}", want) for number in range(2, 8)]
    assert all(future.result(WAIT) for future in [maker, *others])
    assert submit(pool, "192.0.2.9", lambda: True).result(WAIT)
    assert (pool._free, pool._aside) == (2, 0)
    pool.close()


def test_too_many_calls_that_wait_for_one_are_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("casync_server.reading.read_pool._MOST_ASIDE", 1)
    pool = ReadPool(2)
    lock = threading.Lock()

    def want() -> bool:
        with held_by_one(lock):
            return True

    with lock:
        first = submit(pool, "192.0.2.1", want)
        second = submit(pool, "192.0.2.2", want)
        done, _ = wait([first, second], WAIT, return_when=FIRST_COMPLETED)
        with pytest.raises(UnreachableError, match="wait for the same work"):
            done.pop().result()
    assert [future.exception(WAIT) for future in (first, second)].count(None) == 1
    pool.close()


def test_closing_drops_what_waits_and_wakes_what_is_suspended() -> None:
    pool = ReadPool(1)
    closed = threading.Event()
    started = threading.Event()

    def walk() -> None:
        while not closed.is_set():
            checkpoint()

    def other() -> None:
        started.set()
        closed.wait(WAIT)

    long = submit(pool, "192.0.2.1", walk)
    second = submit(pool, "192.0.2.2", other)
    assert started.wait(WAIT)  # the first one is suspended
    never = submit(pool, "192.0.2.3", lambda: None)
    pool.close()
    closed.set()
    long.result(WAIT)
    second.result(WAIT)
    assert never.cancelled()
    with pytest.raises(RuntimeError):
        pool.submit(lambda: None)


def test_errors_and_cancellations_free_the_thread() -> None:
    pool = ReadPool(1)
    begin = threading.Event()
    held = pool.submit(lambda: begin.wait(WAIT))
    dropped = pool.submit(lambda: None)
    failing: Future[int] = pool.submit(lambda: [][0])
    last = pool.submit(lambda: 5)
    assert dropped.cancel()
    begin.set()
    assert held.result(WAIT)
    with pytest.raises(IndexError):
        failing.result(WAIT)
    assert last.result(WAIT) == 5
    pool.close()
