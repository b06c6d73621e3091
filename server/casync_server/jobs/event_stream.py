"""A stream of server-sent events that tells of one job until it has ended.

The row of the job is read again and again, so any process may run it. A worker answers a bounded
number of streams at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from casync.errors import CasyncError, NotFoundError
from casync.wire.jobs import EVENTS_TYPE, HEARTBEAT, JobItem, encode_event
from casync_server.http.caching import NEVER
from casync_server.http.request_stats import request_stats
from casync_server.limits.request_work import IS_GONE
from casync_server.problems import failure, problem_response

__all__ = ["EventStream", "EventStreams"]

_LOOK_SECONDS: Final = 0.5
_HEARTBEAT_SECONDS: Final = 15.0
_ENDED: Final = frozenset({"finished", "aborted"})


class EventStreams:
    """The streams of one worker. Used on the event loop.

    Args:
        most: Streams at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    def enter(self) -> bool:
        """Counts one more, if there is room."""
        if self._open >= self._most:
            return False
        self._open += 1
        return True

    def leave(self) -> None:
        """Counts one less."""
        self._open -= 1


class EventStream(Response):
    """The answer with the events of one job.

    Args:
        find: The job as it is now; NotFoundError when it is removed.
        streams: Counts the streams of the worker.
        is_stopping: Whether the worker stops.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[JobItem]],
        streams: EventStreams,
        is_stopping: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            media_type=EVENTS_TYPE,
            headers={"Cache-Control": NEVER, "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._find = find
        self._streams = streams
        self._is_stopping = is_stopping
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the job has ended, or the client has gone."""
        if not self._streams.enter():
            refusal = problem_response(
                503, "too many streams of events", headers={"Retry-After": "10"}
            )
            await refusal(scope, receive, send)
            return
        try:
            await self._send_all(scope, receive, send)
        finally:
            self._streams.leave()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            item = await self._find()
        except CasyncError as error:
            await failure(scope, error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send(send, encode_event(item))
        is_gone: Callable[[], bool] = scope.get("extensions", {}).get(IS_GONE, lambda: False)
        silent = 0.0
        while item.state not in _ENDED and not self._is_stopping():
            await self._sleep(_LOOK_SECONDS)
            silent += _LOOK_SECONDS
            if is_gone():
                return
            try:
                fresh = await self._find()
            except NotFoundError:
                break
            except CasyncError as error:
                request_stats(scope).note = f"{error.code}: {error.message}"
                break
            if fresh != item:
                item, silent = fresh, 0.0
                await _send(send, encode_event(item))
            elif silent >= _HEARTBEAT_SECONDS:
                silent = 0.0
                await _send(send, HEARTBEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
