"""Checkpoints of work in threads: charges, turns, limits, and clients that disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from casync_server.limits.request_work import (
    IS_GONE,
    RequestWork,
    Stint,
    WorkOfRequest,
    checkpoint,
    current_work,
    is_wanted,
)
from starlette.types import Receive, Scope, Send

from casync.errors import StoppedError, TimedOutError


class Worker:
    """A thread whose CPU clock is set by hand."""

    def __init__(self, is_gone: Callable[[], bool] = lambda: False, seconds: float = 10.0) -> None:
        self.now = 100.0
        self.charges: list[float] = []
        self.turns = 0
        work = RequestWork("caller", is_gone, seconds)
        self.stint = Stint(work, self.charges.append, self._turn, cpu=lambda: self.now)

    def _turn(self) -> None:
        self.turns += 1

    def works(self, seconds: float) -> None:
        self.now += seconds
        checkpoint()


def test_cpu_time_is_charged_while_it_is_spent() -> None:
    worker = Worker()
    with worker.stint:
        worker.works(0.5)
        assert sum(worker.charges) == pytest.approx(0.5)
        worker.works(0.25)
        assert sum(worker.charges) == pytest.approx(0.75)
        worker.now += 1
    assert sum(worker.charges) == pytest.approx(1.75)


def test_others_get_their_turn_after_a_slice() -> None:
    worker = Worker()
    with worker.stint:
        for _ in range(100):
            worker.works(0.01)
    assert 15 <= worker.turns <= 20


def test_a_call_is_limited_in_cpu_time() -> None:
    worker = Worker(seconds=2.0)
    with worker.stint:
        worker.works(1.9)
        with pytest.raises(TimedOutError, match="2 s"):
            worker.works(0.2)
    with worker.stint:
        worker.works(1.9)  # the next call begins anew


def test_work_ends_when_its_client_has_disconnected() -> None:
    gone = False
    worker = Worker(is_gone=lambda: gone)
    with worker.stint:
        worker.works(0.1)
        assert is_wanted()
        gone = True
        assert not is_wanted()
        with pytest.raises(StoppedError):
            worker.works(0.1)


def test_a_thread_without_a_request_has_no_limits() -> None:
    checkpoint()
    assert is_wanted()
    with Stint(None, None, lambda: None):
        checkpoint()
        assert is_wanted()


def test_a_request_is_the_current_one_until_it_is_answered() -> None:
    found: list[RequestWork | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(current_work())

    async def ask(scope: Scope) -> None:
        await WorkOfRequest(app, 3.0)(scope, None, None)  # type: ignore[arg-type]
        assert current_work() is None

    def gone() -> bool:
        return True

    asyncio.run(
        ask({"type": "http", "client": ("192.0.2.1", 1), "extensions": {IS_GONE: gone}, "path": ""})
    )
    asyncio.run(ask({"type": "http", "client": None, "path": ""}))
    asyncio.run(ask({"type": "lifespan"}))
    assert found[0] == RequestWork("192.0.2.1", gone, 3.0)
    assert found[1] is not None
    assert found[1].caller is None
    assert not found[1].is_gone()
    assert found[2] is None
