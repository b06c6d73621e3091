"""Callers are limited, and others continue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from casync_server.limits.rate_limit import RateLimiter, address_of, spender, token_of
from casync_server.reading.read_pool import ReadPool
from casync_server.settings import ServerSettings

from casync.names.token import TokenRow


class Limited:
    """A rate limiter with a clock that the test sets, before an application that can block."""

    def __init__(self, **settings: float) -> None:
        self.now = 0.0
        self.spent = 0.0
        self.reached = 0
        self.paused: list[float] = []
        self.end = asyncio.Event()
        values = {"client_requests": 3, "client_rate": 1.0, "client_burst": 1000.0, **settings}
        self.rate_limiter = RateLimiter(
            self._app,
            who=address_of,
            settings=ServerSettings.model_validate(values),
            clock=lambda: self.now,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        spend = spender()
        if spend is not None:
            spend(self.spent)
        await self.end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, address: str | None, path: str = "/v1/info") -> tuple[int, str]:
        """Status, and seconds of Retry-After."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        client = (address, 1) if address is not None else None
        scope = {"type": "http", "path": path, "client": client, "method": "GET"}
        await self.rate_limiter(scope, lambda: None, send)  # type: ignore[arg-type, return-value]
        fields = dict(sent[0]["headers"])
        return sent[0]["status"], fields.get(b"retry-after", b"").decode()

    async def leave_running(self, address: str) -> asyncio.Task[tuple[int, str]]:
        task, reached = asyncio.create_task(self.ask(address)), self.reached
        while self.reached == reached and not task.done():
            await asyncio.sleep(0)
        return task


def test_concurrent_requests_are_limited_per_caller() -> None:
    async def scene() -> None:
        world = Limited()
        running = [await world.leave_running("10.0.0.1") for _ in range(3)]
        assert await world.ask("10.0.0.1") == (503, "1")
        running.append(await world.leave_running("10.0.0.2"))
        world.end.set()
        assert [await task for task in running] == [(200, "")] * 4
        assert await world.ask("10.0.0.1") == (200, "")

    asyncio.run(scene())


def test_the_request_rate_is_limited_per_caller() -> None:
    async def scene() -> None:
        world = Limited(client_rate=0.1, client_burst=2.0)
        world.end.set()
        statuses = [await world.ask("10.0.0.1") for _ in range(3)]
        assert statuses == [(200, ""), (200, ""), (429, "10")]
        assert await world.ask("10.0.0.2") == (200, "")
        assert await world.ask("10.0.0.1", "/healthz") == (200, "")
        assert await world.ask(None) == (200, "")
        world.now += 10
        assert await world.ask("10.0.0.1") == (200, "")
        assert (await world.ask("10.0.0.1"))[0] == 429

    asyncio.run(scene())


def test_a_caller_slightly_over_its_rate_is_delayed() -> None:
    async def scene() -> None:
        world = Limited(client_rate=10.0, client_burst=1.0, client_requests=100, client_wait=0.45)
        world.end.set()
        assert [(await world.ask("10.0.0.1"))[0] for _ in range(6)] == [200] * 5 + [429]
        assert world.paused == pytest.approx([0.1, 0.2, 0.3, 0.4])

    asyncio.run(scene())


def test_cpu_time_is_limited_while_others_have_requests() -> None:
    async def scene() -> None:
        world = Limited(client_cpu=0.5, client_reserve=4.0)
        world.end.set()
        world.spent = 10.0
        assert [await world.ask("10.0.0.1") for _ in range(3)] == [(200, "")] * 3  # alone
        world.spent = 0.0
        world.end.clear()
        other = await world.leave_running("10.0.0.2")
        status, wait = await world.ask("10.0.0.1")
        assert (status, int(wait)) == (429, 30)
        world.now += 50  # all but one of the 26 seconds of overuse have been refilled
        late = await world.leave_running("10.0.0.1")
        assert world.paused == pytest.approx([2.0], abs=0.1)
        world.end.set()
        assert await other == await late == (200, "")

    asyncio.run(scene())


def test_threads_charge_the_caller_of_their_request() -> None:
    async def scene() -> None:
        world = Limited(client_cpu=0.0, client_reserve=0.005)
        pool = ReadPool(1)

        async def work(scope: Any, receive: Any, send: Any) -> None:
            await pool.run(lambda: sum(range(3_000_000)))
            await send({"type": "http.response.start", "status": 200, "headers": []})

        waiting, world.rate_limiter._app = world.rate_limiter._app, work
        assert (await world.ask("10.0.0.1"))[0] == 200
        world.rate_limiter._app = waiting
        other = await world.leave_running("10.0.0.2")
        assert (await world.ask("10.0.0.1"))[0] == 429
        world.end.set()
        assert await other == (200, "")
        pool.close()

    asyncio.run(scene())


def test_only_idle_callers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        world = Limited()
        monkeypatch.setattr("casync_server.limits.rate_limit._MAX_CALLERS", 2)
        running = [await world.leave_running("10.0.0.1") for _ in range(3)]
        world.end.set()
        for task in running[:2]:
            await task
        await asyncio.gather(*running)
        world.end.clear()
        running = [await world.leave_running("10.0.0.1") for _ in range(3)]
        for number in range(2, 9):
            running.append(await world.leave_running(f"10.0.0.{number}"))
        assert (await world.ask("10.0.0.1"))[0] == 503
        world.end.set()
        await asyncio.gather(*running)
        most = len(world.rate_limiter._callers)
        for number in range(10, 30):
            await world.ask(f"10.0.0.{number}")
        assert len(world.rate_limiter._callers) == most

    asyncio.run(scene())


def test_a_token_is_a_caller_wherever_it_comes_from() -> None:
    row = TokenRow("abcdefgh", bytes(32), 1, (), 0, 0, 0, "")
    assert token_of({"casync.caller": row}) == "abcdefgh"
    assert token_of({}) is None
    assert address_of({"client": ("2001:db8::1", 5)}) == address_of({"client": ("2001:db8::2", 6)})
