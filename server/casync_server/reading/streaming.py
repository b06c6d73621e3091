"""Streams answers that are too large for memory: threads make pieces as the client reads.

One piece is made while the previous one is sent, so a client that stops reading stops the work. No
resource of the store is held while a piece waits for the client: iterators passed here copy what
they yield.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Final, TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from casync.errors import CasyncError
from casync.ids import Buffer
from casync.limits import KIB
from casync_server.http.parts import EXTENSION, PARTS
from casync_server.http.request_stats import request_stats
from casync_server.reading.read_pool import ReadPool

__all__ = ["Piece", "PieceBudget", "StreamedResponse", "pieces"]

Piece: TypeAlias = list[Buffer]
"""Buffers that are sent together, in order."""

_MIN_PIECE: Final = 64 * KIB
_PIECES: Final = 3
"""Pieces of an answer in memory: one being read, one made, one being sent."""

_MAX_PARTS: Final = 1000
"""Parts of a piece; the system writes at most 1024 buffers at a time."""


class PieceBudget:
    """Divides memory among the answers in progress.

    Args:
        total: Bytes for all answers together.
        largest: Largest size of a piece, in bytes.
    """

    def __init__(self, total: int, largest: int) -> None:
        self._total = total
        self._largest = largest
        self.active = 0

    def piece_bytes(self) -> int:
        """Size of the next piece, in bytes."""
        share = self._total // (_PIECES * max(self.active, 1))
        return min(max(share, _MIN_PIECE), self._largest)


def pieces(parts: Iterable[Buffer], size: Callable[[], int]) -> Iterator[Piece]:
    """Groups `parts` into pieces of at least `size()` bytes or the largest number of parts."""
    piece: Piece = []
    count, wanted = 0, size()
    for part in parts:
        piece.append(part)
        count += len(part)
        if count >= wanted or len(piece) == _MAX_PARTS:
            yield piece
            piece, count, wanted = [], 0, size()
    if piece:
        yield piece


class StreamedResponse(Response):
    """Sends `first`, then the pieces of `rest`.

    `rest` runs in threads, one step at a time. If it raises, the connection breaks off, and the
    client notices: the announced length is not reached, or a stream of frames has no end.

    Args:
        first: The first piece, made before the headers, so that its errors become a status.
        rest: The other pieces.
        pool: Threads that run `rest`.
        budget: Counts this answer while it is in progress.
        headers: Header fields. Without Content-Length the answer is chunked.
        media_type: The Content-Type.
        status: The HTTP status.
    """

    def __init__(
        self,
        first: Piece,
        rest: Iterator[Piece],
        *,
        pool: ReadPool,
        budget: PieceBudget,
        media_type: str,
        headers: Mapping[str, str],
        status: int = 200,
    ) -> None:
        self.background = None
        self.status_code = status
        self.media_type = media_type
        self._first = first
        self._rest = rest
        self._pool = pool
        self._budget = budget
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer. Returns without its end if `rest` fails or the client disconnects."""
        gone = asyncio.ensure_future(_disconnected(receive))
        self._budget.active += 1
        ahead: Future[Piece | None] | None = None
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
                ahead = self._pool.submit(self._next)
                await _send_piece(scope, send, piece)
                piece = []  # freed while waiting for the next one
                made = asyncio.wrap_future(ahead)
                await asyncio.wait((made, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    made.cancel()
                    request_stats(scope).note = "client went away"
                    return
                piece = made.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except CasyncError as error:
            request_stats(scope).note = f"broken off: {error.code}: {error.message}"
        finally:
            self._budget.active -= 1
            gone.cancel()
            self._close(ahead)

    def _next(self) -> Piece | None:
        return next(self._rest, None)

    def _close(self, ahead: Future[Piece | None] | None) -> None:
        """Closes `rest`, after a thread that still runs it has finished."""
        close = getattr(self._rest, "close", None)
        if close is None:
            return
        if ahead is None:
            close()
        else:
            ahead.cancel()
            ahead.add_done_callback(lambda _: close())


async def _send_piece(scope: Scope, send: Send, piece: Piece) -> None:
    if EXTENSION in scope.get("extensions", ()):
        await send({"type": PARTS, "parts": piece})
    else:
        body = b"".join(piece)
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
