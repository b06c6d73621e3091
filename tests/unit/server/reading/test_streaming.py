"""Pieces, their memory, and how work ends when a client disconnects."""

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest
from casync_server.http.parts import EXTENSION, PARTS
from casync_server.http.request_stats import request_stats
from casync_server.limits.answer_memory import AnswerMemory
from casync_server.reading.read_pool import ReadPool
from casync_server.reading.streaming import Piece, StreamedResponse, _Maker, pieces
from starlette.types import Message, Scope

from casync.errors import DamagedObjectError
from casync.ids import Buffer


def test_pieces_are_grouped() -> None:
    batches = [[b"ab", b"cde"], [b"f"], [b"ghij"], [b"k"]]
    assert list(pieces(batches, lambda: 4)) == [[b"ab", b"cde"], [b"f", b"ghij"], [b"k"]]
    assert list(pieces([], lambda: 4)) == []
    many = list(pieces([[b"x"] * 500] * 5, lambda: 10**6))
    assert [len(piece) for piece in many] == [1000, 1000, 500]


class Held(bytearray):
    """Bytes that can be watched."""


def test_a_piece_that_was_handed_over_is_not_held() -> None:
    made: list[weakref.ref[Held]] = []

    def batches() -> Iterator[list[Buffer]]:
        for _ in range(6):
            yield [_new(made)]

    stream = pieces(batches(), lambda: 200)
    for number in range(3):
        piece = next(stream)
        assert [len(part) for part in piece] == [100, 100]
        del piece
        assert [ref() for ref in made] == [None] * (2 * number + 2)


def _new(made: list[weakref.ref[Held]]) -> Held:
    held = Held(100)
    made.append(weakref.ref(held))
    return held


class Source:
    """Pieces, and a record of whether their iterator was closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made = 0
        self.closed = threading.Event()
        self._count = count
        self._error = error

    def pieces(self) -> Iterator[Piece]:
        try:
            while self.made < self._count:
                self.made += 1
                yield [b"%d" % self.made, b"."]
            if self._error:
                raise self._error
        finally:
            self.closed.set()


def answer(
    source: Source, *, leave_after: int | None = None, parts: bool = False
) -> tuple[list[Message], Scope]:
    scope: Scope = {"type": "http", "extensions": {EXTENSION: {}} if parts else {}}
    sent: list[Message] = []

    async def run() -> None:
        gone = asyncio.Event()
        pool = ReadPool(2)
        memory = AnswerMemory(2**20, 2**20)

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if leave_after is not None and len(sent) > leave_after:
                gone.set()
                return
            sent.append(message)

        account = memory.open("192.0.2.1")
        response = StreamedResponse(
            [b"first."],
            _Maker(source.pieces(), pool, account),
            account=account,
            media_type="application/x",
            headers={"X-A": "b"},
        )
        await response(scope, receive, send)
        assert memory.used == 0
        pool.close()

    asyncio.run(run())
    return sent, scope


def test_pieces_are_sent_in_order() -> None:
    source = Source(3)
    sent, _ = answer(source)
    assert (b"x-a", b"b") in sent[0]["headers"]
    assert not [name for name, _ in sent[0]["headers"] if name == b"content-length"]
    assert b"".join(m["body"] for m in sent[1:]) == b"first.1.2.3."
    assert not sent[-1]["more_body"]
    assert source.closed.wait(5)


def test_parts_are_not_joined_if_the_server_supports_them() -> None:
    sent, _ = answer(Source(1), parts=True)
    assert sent[1] == {"type": PARTS, "parts": [b"first."]}
    assert sent[2] == {"type": PARTS, "parts": [b"1", b"."]}
    assert sent[3] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_an_error_truncates_the_answer() -> None:
    source = Source(2, DamagedObjectError("chunk 00 is damaged"))
    sent, scope = answer(source)
    assert all(m["more_body"] for m in sent[1:])
    assert "chunk 00" in request_stats(scope).note
    assert source.closed.wait(5)


@pytest.mark.parametrize("leave_after", [0, 1, 3])
def test_a_client_that_leaves_stops_the_work(leave_after: int) -> None:
    source = Source(10**9)
    _, scope = answer(source, leave_after=leave_after)
    assert source.closed.wait(5)
    assert source.made <= leave_after + 10
    assert "went away" in request_stats(scope).note
