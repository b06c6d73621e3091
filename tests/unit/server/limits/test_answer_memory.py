"""What answers hold is counted, and shared among addresses."""

from __future__ import annotations

import asyncio

from casync_server.limits.answer_memory import AnswerMemory, CountedAnswers
from starlette.types import Message, Receive, Scope, Send

from casync.limits import KIB

MINIMUM = 64 * KIB
TOTAL = 200 * MINIMUM


async def fill(memory: AnswerMemory, address: str) -> int:
    """Takes as much as `address` gets without waiting. Returns that in pieces of the minimum."""
    account = memory.open(address)
    taken = 0
    while True:
        task = asyncio.ensure_future(account.take())
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            return taken // MINIMUM
        taken += task.result()


def test_an_address_gets_as_much_as_is_left_for_others() -> None:
    async def run() -> None:
        memory = AnswerMemory(TOTAL, MINIMUM)
        shares = [await fill(memory, f"192.0.2.{number}") for number in range(4)]
        assert shares == [50, 25, 13, 6]
        assert memory.used == memory.peak == sum(shares) * MINIMUM

    asyncio.run(run())


def test_many_answers_get_smaller_pieces() -> None:
    memory = AnswerMemory(TOTAL, 10 * MINIMUM)
    accounts = [memory.open("192.0.2.1")]
    assert accounts[0].piece_bytes() == 10 * MINIMUM
    accounts += [memory.open("192.0.2.1") for _ in range(4)]
    assert accounts[0].piece_bytes() == 5 * MINIMUM
    accounts += [memory.open("192.0.2.1") for _ in range(1000)]
    assert accounts[0].piece_bytes() == MINIMUM
    other = memory.open("192.0.2.2")
    assert other.piece_bytes() == 10 * MINIMUM
    for account in accounts:
        account.close()
    assert memory.open("192.0.2.1").piece_bytes() == 10 * MINIMUM


def test_who_waits_is_served_when_bytes_are_gone_and_does_not_hold_up_other_addresses() -> None:
    async def run() -> None:
        memory = AnswerMemory(TOTAL, MINIMUM)
        stalled = memory.open("192.0.2.1")
        stalled.add(60 * MINIMUM)
        waiting = memory.open("192.0.2.1")
        task = asyncio.ensure_future(waiting.take())
        await asyncio.sleep(0)
        assert not task.done()
        other = memory.open("192.0.2.2")
        assert await other.take() == MINIMUM
        assert not task.done()
        stalled.add(-20 * MINIMUM)
        assert await task == MINIMUM
        for account in (stalled, waiting, other):
            account.close()
        assert memory.used == 0
        assert memory.peak == 61 * MINIMUM

    asyncio.run(run())


def test_who_stops_waiting_holds_nothing() -> None:
    async def run() -> None:
        memory = AnswerMemory(TOTAL, MINIMUM)
        stalled, waiting = memory.open("192.0.2.1"), memory.open("192.0.2.1")
        stalled.add(60 * MINIMUM)
        tasks = [asyncio.ensure_future(waiting.take()) for _ in range(2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        stalled.close()  # serves the second one
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert memory.used == 0

    asyncio.run(run())


def test_bodies_count_while_they_are_sent() -> None:
    memory = AnswerMemory(TOTAL, MINIMUM)
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(1000)})

    async def send(message: Message) -> None:
        seen.append(memory.used)

    scope: Scope = {"type": "http", "client": ("192.0.2.1", 1), "path": "/"}
    asyncio.run(CountedAnswers(app, memory)(scope, None, send))  # type: ignore[arg-type]
    assert seen == [0, 1000]
    assert memory.used == 0
