"""The access log: one line per request, with its caller, target, status and cost.

The outermost layer of the application. It also turns an error outside of a route into a problem, an
unexpected exception into a 500 without details, and logs the details.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casync.errors import CasyncError
from casync_server.access.log_entry import LogEntry, format_entry
from casync_server.access.log_sink import LogSink
from casync_server.http.parts import PARTS
from casync_server.http.request_stats import RequestStats, request_stats
from casync_server.problems import failure

__all__ = [
    "AccessLog",
    "ConnectionLog",
    "Watcher",
]

_INTERNAL: Final = (
    b'{"title":"Internal Server Error","status":500,"code":"error",'
    b'"detail":"internal error; the server log has the details"}'
)


class Watcher(Protocol):
    """Is called at the start and the end of each request."""

    def begin(self) -> None:
        """A request started."""
        ...

    def end(self, entry: LogEntry, route: str) -> None:
        """The request ended; `route` is the path pattern that it matched."""
        ...


class ConnectionLog:
    """Logs what happens to connections without a request.

    Args:
        sink: Takes the lines.
        form: Their form.
        quiet: Log only failures of the server.
    """

    def __init__(
        self, sink: LogSink, form: Literal["text", "json"], *, quiet: bool = False
    ) -> None:
        self._sink = sink
        self._form = form
        self._quiet = quiet

    def write(self, client: str | None, status: int, note: str, *, failed: bool = False) -> None:
        """Writes one line.

        Args:
            client: Address of the client.
            status: What was answered; 0 for nothing.
            note: What happened.
            failed: Whether the server failed, and not the client.
        """
        if self._quiet and status < 500 and not failed:
            return
        stats = RequestStats(note=note)
        entry = LogEntry(client or "", "", "", status, bytes=0, seconds=0.0, stats=stats)
        self._sink(format_entry(entry, self._form, datetime.now(UTC)))


class AccessLog:
    """ASGI middleware that logs each request when its answer ends, successful or not.

    Args:
        app: The application behind it.
        form: Form of the lines.
        sink: Takes the lines.
        debug: Log tracebacks, too.
        quiet: Log only failures of the server.
        watchers: Are called for each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        form: Literal["text", "json"],
        sink: LogSink,
        debug: bool,
        quiet: bool = False,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._app = app
        self._watchers = watchers
        self._form = form
        self._sink = sink
        self._debug = debug
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application and logs the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stats = request_stats(scope)
        for watcher in self._watchers:
            watcher.begin()
        started = time.monotonic()
        status, sent, over = 0, 0, False

        async def counted(message: Message) -> None:
            nonlocal status, sent, over
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                over = not message.get("more_body", False)
            elif message["type"] == PARTS:
                sent += sum(map(len, message["parts"]))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except CasyncError as error:  # outside of a route
            answer = failure(scope, error)
            if not status:
                await answer(scope, receive, counted)
        except Exception as error:
            stats.fail(f"{type(error).__name__}: {error}")
            if self._debug:
                self._sink(traceback.format_exc())
            if not status:
                await _send_internal(counted)
        finally:
            if not over and not stats.note:
                stats.note = "aborted"
            entry = LogEntry(
                client=_client(scope),
                method=scope["method"],
                target=_target(scope),
                status=status,
                bytes=sent,
                seconds=time.monotonic() - started,
                stats=stats,
            )
            for watcher in self._watchers:
                watcher.end(entry, _route(scope))
            if status >= 500 or stats.failed or not self._quiet:
                self._sink(format_entry(entry, self._form, datetime.now(UTC)))


async def _send_internal(send: Send) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(_INTERNAL)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": _INTERNAL})


def _route(scope: Scope) -> str:
    """The path pattern of the route that answered; empty without one."""
    return str(getattr(scope.get("route"), "path_format", ""))


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _target(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    query: bytes = scope.get("query_string", b"")
    return (raw + b"?" + query if query else raw).decode("utf-8", "surrogateescape")
