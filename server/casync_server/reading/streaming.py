"""Streams answers that are too large for memory: threads make pieces as the client reads.

One piece is made while the previous one is sent, so a client that stops reading stops the work. No
resource of the store is held while a piece waits for the client: iterators passed here copy what
they yield.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from casync.errors import CasyncError
from casync.ids import Buffer
from casync_server.http.parts import EXTENSION, PARTS
from casync_server.http.request_stats import request_stats
from casync_server.limits.answer_memory import AnswerAccount
from casync_server.reading.read_pool import ReadPool

__all__ = ["Piece", "StreamedResponse", "piece_size", "pieces"]

Piece: TypeAlias = list[Buffer]
"""Buffers that are sent together, in order."""

_MAX_PARTS: Final = 1000
"""Parts of a piece; the system writes at most 1024 buffers at a time."""


def pieces(batches: Iterable[Sequence[Buffer]], size: Callable[[], int]) -> Iterator[Piece]:
    """Groups whole batches into pieces of at least `size()` bytes or the largest number of parts.

    Between two pieces nothing is held of the batches.
    """
    piece: Piece = []
    count, wanted = 0, size()
    for batch in batches:
        piece += batch
        count += piece_size(batch)
        del batch
        if count >= wanted or len(piece) >= _MAX_PARTS:
            yield _handed_over(piece)
            count, wanted = 0, size()
    if piece:
        yield _handed_over(piece)


def piece_size(piece: Sequence[Buffer]) -> int:
    """Bytes of a piece."""
    return sum(map(len, piece))


def _handed_over(piece: Piece) -> Piece:
    """A copy of the list, which is emptied."""
    handed = piece.copy()
    piece.clear()
    return handed


class _Maker:
    """Makes the pieces of one answer in threads, when there is room for them."""

    def __init__(self, rest: Iterator[Piece], pool: ReadPool, account: AnswerAccount) -> None:
        self._rest = rest
        self._pool = pool
        self._account = account
        self._step: Future[_Made | None] | None = None

    async def make(self) -> Piece | None:
        """The next piece, which counts from now on; None at the end.

        Raises:
            CasyncError: What the iterator raises.
        """
        while True:
            taken = await self._account.take()
            self._step = self._pool.submit(partial(self._next, taken))
            try:
                made = await asyncio.wrap_future(self._step)
            finally:
                self._account.add(-taken)
            if made is not None:
                return made.piece

    def _next(self, taken: int) -> _Made | None:
        """Makes a piece in a thread; None if there is no room any more."""
        if not self._account.has_room(taken):
            return None
        piece = next(self._rest, None)
        if piece is not None:
            self._account.add(piece_size(piece))
        return _Made(piece)

    def close(self) -> None:
        """Closes the iterator, after a thread that still runs it has finished."""
        close = getattr(self._rest, "close", None)
        if close is None:
            return
        if self._step is None:
            close()
        else:
            self._step.cancel()
            self._step.add_done_callback(lambda _: close())


class _Made(NamedTuple):
    """A piece; None at the end of an answer."""

    piece: Piece | None


class StreamedResponse(Response):
    """Sends pieces while they are made. `StreamedResponse.begin` makes one.

    If a piece cannot be made, the connection breaks off, and the client notices: the announced
    length is not reached, or a stream of frames has no end.

    Args:
        first: The first piece, made before the headers, so that its errors become a status.
        maker: Makes the other pieces.
        account: Counts what the answer holds; it has the first piece already.
        headers: Header fields. Without Content-Length the answer is chunked.
        media_type: The Content-Type.
        status: The HTTP status.
    """

    def __init__(
        self,
        first: Piece,
        maker: _Maker,
        *,
        account: AnswerAccount,
        media_type: str,
        headers: Mapping[str, str],
        status: int = 200,
    ) -> None:
        self.background = None
        self.status_code = status
        self.media_type = media_type
        self._first = first
        self._maker = maker
        self._account = account
        self.init_headers(headers)

    @classmethod
    async def begin(
        cls,
        batches: Iterable[Sequence[Buffer]],
        *,
        pool: ReadPool,
        account: AnswerAccount,
        media_type: str,
        headers: Mapping[str, str],
        status: int = 200,
        is_one_piece: bool = False,
    ) -> StreamedResponse:
        """Waits for room, makes the first piece, and gives the answer that sends all of them.

        Args:
            batches: The answer, in lists of parts. It reads no more than a batch at a time.
            pool: Threads that run `batches`, one step at a time.
            account: Is closed when the answer is over, or has failed.
            media_type: As of the class, like `headers` and `status`.
            headers: Header fields.
            status: The HTTP status.
            is_one_piece: There is one batch, so the Content-Length is that of the first piece.

        Raises:
            CasyncError: What `batches` raises.
        """
        maker = _Maker(pieces(batches, account.piece_bytes), pool, account)
        try:
            first = await maker.make() or []
        except BaseException:
            account.close()
            maker.close()
            raise
        if is_one_piece:
            headers = {**headers, "Content-Length": str(piece_size(first))}
        return cls(
            first,
            maker,
            account=account,
            media_type=media_type,
            headers=headers,
            status=status,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer. Returns without its end if `rest` fails or the client disconnects."""
        gone = asyncio.ensure_future(_disconnected(receive))
        ahead: asyncio.Task[Piece | None] | None = None
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            piece: Piece | None = self._first
            self._first = []
            while piece is not None:
                ahead = asyncio.ensure_future(self._maker.make())
                size = piece_size(piece)
                await _send_piece(scope, send, piece)
                piece = []  # freed while waiting for the next one
                self._account.add(-size)
                await asyncio.wait((ahead, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    request_stats(scope).note = "client went away"
                    return
                piece = ahead.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except CasyncError as error:
            request_stats(scope).fail(f"broken off: {error.code}: {error.message}")
        finally:
            gone.cancel()
            if ahead is not None:
                ahead.cancel()
                ahead.add_done_callback(_look_at)
            self._account.close()
            self._maker.close()


async def _send_piece(scope: Scope, send: Send, piece: Piece) -> None:
    if EXTENSION in scope.get("extensions", ()):
        await send({"type": PARTS, "parts": piece})
    else:
        body = b"".join(piece)
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _look_at(task: asyncio.Task[Piece | None]) -> None:
    """Takes note of the error of a task that nothing waits for, or asyncio logs it."""
    if not task.cancelled():
        task.exception()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
