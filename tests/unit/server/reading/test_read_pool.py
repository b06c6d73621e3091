"""Threads that read: callers take turns, and a long call lets others pass."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

import pytest
from casync_server.limits.request_work import WorkOfRequest, checkpoint
from casync_server.reading.read_pool import ReadPool
from starlette.types import Receive, Scope, Send

_T = TypeVar("_T")

WAIT = 60.0
"""Seconds after which a test gives up."""


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
