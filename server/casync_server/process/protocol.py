"""uvicorn's HTTP protocol with limits.

uvicorn has no timeouts, buffers heads of any size, queues any number of pipelined requests, and
writes its 400 into the middle of a running answer. Here a head is limited in bytes, fields and
time, bodies and readers have a minimum rate, and further requests wait unread until the answer
before them is sent. Once an answer has begun, only that answer is written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeAlias

import httptools
from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from casync.ids import Buffer
from casync.wire.documents import PROBLEM_TYPE, encode_document
from casync_server.access.access_log import ConnectionLog
from casync_server.http.parts import EXTENSION, PARTS, PartsMessage, slices
from casync_server.http.request_head import Head, Refusal, check_head
from casync_server.limits.pacing import Late, Pacing
from casync_server.limits.request_work import IS_GONE
from casync_server.problems import make_problem
from casync_server.settings import ServerSettings

__all__ = ["BoundedProtocol", "Send", "protocol_for"]

Send: TypeAlias = Callable[[ASGISendEvent], Awaitable[None]]

_SLICE: Final = 4096
"""Bytes parsed at a time: a limit is exceeded by at most this much."""

_OBJECTS: Final = b"/v1/objects"
_JOBS: Final = b"/v1/jobs"
"""Paths of the requests with large bodies."""

_TLS_SLICE: Final = 64 * 1024
"""Bytes encrypted at a time. The transport below holds up to three times as many, uncounted."""

_LINGER_BYTES: Final = 1024 * 1024
"""Bytes that a refused client may still send before its connection is reset."""


class _RefusedError(Exception):
    """Ends a parser callback; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `protocol_for` makes a subclass with its limits."""

    limits: ClassVar[ServerSettings]
    log: ClassVar[ConnectionLog]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._pacing = Pacing(self.limits, self.loop.time())
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._most_body = 0
        self._held = bytearray()  # bytes that arrived during an answer
        self._refusal: Refusal | None = None
        self._discarded = 0
        self._leave: Callable[[], None] | None = None
        self._cycles: deque[RequestResponseCycle] = deque()  # unanswered, in order
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, refusal: Refusal | None, leave: Callable[[], None]) -> None:
        """Decides on a connection before it is made.

        Args:
            refusal: What the client is told instead of an answer.
            leave: Is called once, when the connection is over.
        """
        self._refusal = refusal
        self._leave = leave

    def give_up(self) -> None:
        """Says that the connection is over, perhaps before it was made."""
        if self._leave is not None:
            self._leave()
            self._leave = None

    # -- The connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timer of the connection."""
        super().connection_made(transport)
        # Paused as soon as the kernel does not take a byte: what is sent no longer counts.
        transport.set_write_buffer_limits(high=1, low=0)
        self._pacing = Pacing(self.limits, self.loop.time())
        if self._refusal is not None:
            self._refuse(self._refusal)
        self._timer = self.loop.call_later(self.limits.tick_seconds, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        """Removes the connection from the count."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.give_up()
        self._held.clear()
        self.pipeline.clear()
        # uvicorn informs only the last request; the one being answered would run on.
        self._forsake()
        super().connection_lost(exc)

    def _forsake(self) -> None:
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()

    @property
    def _address(self) -> str | None:
        return self.client[0] if self.client else None

    def _tick(self) -> None:
        now = self.loop.time()
        self._timer = self.loop.call_later(self.limits.tick_seconds, self._tick)
        unsent = self.transport.get_write_buffer_size()
        if self.transport.is_closing():
            # Closing with unsent bytes, which the client may never read.
            self._pacing.block(now, unsent)
        late = self._pacing.late(now, unsent)
        if late is Late.BODY and self.flow.read_paused:
            return  # the server has paused reading
        if late is Late.READER:
            self._abort(late.value)
        elif late is Late.IDLE and not self.transport.is_closing():
            self.transport.close()
        elif late is not None and self._refusal is None:
            if late is Late.HEAD and not self._head_bytes:
                self.transport.close()  # no request, no answer
            else:
                self._refuse(Refusal(408, late.value))

    def pause_writing(self) -> None:
        """The transport's buffer is over its high-water mark."""
        self._pacing.block(self.loop.time(), self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self._pacing.unblock()
        super().resume_writing()

    # -- Bytes from the client --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parses the bytes, or holds them until the current answer is sent."""
        if self._refusal is not None:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if self._pacing.idle:
            self._pacing.head(self.loop.time())
        self._parse(data)

    @property
    def _answering(self) -> bool:
        """Whether a complete request waits for its answer."""
        return bool(self._cycles) and not self._cycles[0].more_body

    def _parse(self, data: bytes) -> None:
        at = 0
        while at < len(data) and self._refusal is None and not self.transport.is_closing():
            if self._answering:
                self._held += data[at:]
                self.flow.pause_reading()
                return
            part = data[at : at + _SLICE]
            at += len(part)
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade:
                # No upgrade is supported: the request is answered, later bytes are not read.
                self.cycle.keep_alive = False
                return
            except httptools.HttpParserError as error:
                cause = error.__context__
                if isinstance(cause, _RefusedError):
                    self._refuse(cause.refusal)
                else:
                    self._refuse(Refusal(400, "not a valid HTTP request"))
                return
            if self._in_head:
                self._head_bytes += len(part)
                if self._head_bytes > self.limits.header_bytes:
                    self._refuse(Refusal(431, "the head of the request is too large"))

    # -- Callbacks of the parser ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field is complete. After the body it is a trailer, which is refused."""
        if not self._in_head:
            raise _RefusedError(Refusal(400, "trailers are not supported"))
        if len(self.headers) >= self.limits.header_fields:
            raise _RefusedError(Refusal(431, "the request has too many header fields"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Checks the complete head and starts the application."""
        head = Head(
            self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers
        )
        self._most_body = _most_body(head, self.limits)
        refusal = check_head(head, self._most_body)
        if refusal is None and len(self.pipeline) >= self.limits.pipeline:
            refusal = Refusal(429, "too many pipelined requests on one connection")
        if refusal is not None:
            raise _RefusedError(refusal)
        self._in_head = False
        self._pacing.body(self.loop.time())
        # Copying every byte would limit large answers, see parts.py.
        extensions: dict[str, Any] = {EXTENSION: {}}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        self._cycles.append(self.cycle)
        cycle = self.cycle
        extensions[IS_GONE] = lambda: cycle.disconnected
        self.cycle.send = partial(self._send, self.cycle, self.cycle.send)  # type: ignore[method-assign]

    def on_body(self, body: bytes) -> None:
        """A part of the body arrived."""
        self._pacing.received(len(body))
        self._body_bytes += len(body)
        if self._body_bytes > self._most_body:
            detail = f"the body is larger than {self._most_body} bytes"
            raise _RefusedError(Refusal(413, detail))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._in_head = True
        self._head_bytes = 0
        self._pacing.answer()
        super().on_message_complete()

    # -- Answers ----------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer is sent: continues with held bytes, or closes the connection."""
        # Answered before the body was read: the start of the next request is unknown.
        unread = self._cycles.popleft().more_body
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if unread:
            self._linger(Refusal(0, "answered early"))
        elif not self._answering:
            self._go_on(bytes(self._held))

    def _go_on(self, held: bytes) -> None:
        self._held.clear()
        now = self.loop.time()
        if self._cycles:
            self._pacing.body(now)  # it waited unread
        elif held:
            self._pacing.head(now)
        else:
            self._pacing.rest(now)
        if held:
            self._unset_keepalive_if_required()
            self._parse(held)

    async def _send(
        self, cycle: RequestResponseCycle, send: Send, message: ASGISendEvent | PartsMessage
    ) -> None:
        """Sends a message of the application. Returns when the kernel has taken its bytes."""
        if message["type"] == PARTS:
            await self._drain(cycle)
            await self._send_parts(cycle, message["parts"])
        else:
            await send(message)
        await self._drain(cycle)

    async def _send_parts(self, cycle: RequestResponseCycle, parts: list[Buffer]) -> None:
        """Sends a part of a body without joining its buffers."""
        if cycle.disconnected:
            return
        size = sum(map(len, parts))
        if cycle.chunked_encoding:
            parts = [b"%x\r\n" % size, *parts, b"\r\n"]
        else:
            assert size <= cycle.expected_content_length
            cycle.expected_content_length -= size
        if self.scheme != "https":
            self.transport.writelines(parts)
            return
        # The transport below TLS buffers what it is given, whatever its size, and hides it.
        for some in slices(parts, _TLS_SLICE):
            self.transport.writelines(some)
            await self._drain(cycle)

    async def _drain(self, cycle: RequestResponseCycle) -> None:
        """Waits until the transport holds nothing, or the client has disconnected."""
        while self.flow.write_paused and not cycle.disconnected:
            # It paused at the first part that was too much; the others wait as well.
            self._pacing.block(self.loop.time(), self.transport.get_write_buffer_size())
            await self.flow.drain()

    def _refuse(self, refusal: Refusal) -> None:
        """Answers with a problem and closes; resets the connection if an answer has begun."""
        if self._cycles:
            first = self._cycles[0]
            self._forsake()
            self.pipeline.clear()
            if first.response_started or not first.more_body:
                self._abort(refusal.detail)
                return
        self.log.write(self._address, refusal.status, refusal.detail)
        self.transport.write(_problem(refusal, self.server_state.default_headers))
        self._linger(refusal)

    def _linger(self, refusal: Refusal) -> None:
        """Closes for writing and discards input: a reset could overtake the answer."""
        self._refusal = refusal
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(self.limits.linger_seconds, self.transport.abort)

    def _abort(self, reason: str) -> None:
        self._refusal = Refusal(0, reason)
        self.log.write(self._address, 0, reason)
        self.transport.abort()


def _most_body(head: Head, limits: ServerSettings) -> int:
    """Largest body of a request, in bytes: objects may be large."""
    path = head.target.partition(b"?")[0] if head.method == b"POST" else b""
    if path == _OBJECTS:
        return limits.upload_bytes
    is_list = path.startswith(_JOBS + b"/") and path.endswith(b"/objects")
    return limits.job_bytes if path == _JOBS or is_list else limits.body_bytes


def _problem(refusal: Refusal, extra: list[tuple[bytes, bytes]]) -> bytes:
    status = HTTPStatus(refusal.status)
    body = encode_document(make_problem(refusal.status, refusal.detail))
    fields = [
        *extra,
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if refusal.status == 503:
        fields.append((b"retry-after", b"2"))
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (refusal.status, status.phrase.encode(), head, body)


def protocol_for(settings: ServerSettings, log: ConnectionLog) -> type[BoundedProtocol]:
    """The protocol class of one worker."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": settings, "log": log})
