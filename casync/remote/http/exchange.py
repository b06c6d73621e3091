"""A kept connection to a server, on which one request follows the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

import httpcore

from casync.remote.http.connection import Line, WatchedStream
from casync.remote.http.response import Fields, HttpResponse
from casync.remote.http.route import Route
from casync.remote.http.unmodified import is_complete, read_unmodified

__all__ = ["HttpExchange"]

_REPEATABLE: Final = frozenset({"GET", "HEAD"})

_KEEP_SECONDS: Final = 15.0
"""Lifetime of an idle connection: shorter than that of servers."""

_TRUSTED_SECONDS: Final = 1.0
"""After a longer pause a connection is looked at: the server may have closed it, or said why.
Before a request that is not repeated it is always looked at."""


class HttpExchange:
    """Sends requests one after another. Used by one thread at a time; `close` by any.

    Args:
        route: The server and the way to it.
        line: Watches its connections.
        done: Learns of the end of each request and its answer.
    """

    def __init__(self, route: Route, line: Line, done: Callable[[HttpExchange], None]) -> None:
        self._route = route
        self._line = line
        self._done = done
        self._stream: WatchedStream | None = None
        self._left = 0.0  # when the last answer ended, on the monotonic clock
        self._closed = False

    def send(
        self, method: str, target: bytes, fields: Fields, body: bytes | Iterable[bytes] = b""
    ) -> HttpResponse:
        """Sends one request. The answer before was closed.

        Args:
            method: The method.
            target: Path and query.
            fields: All fields.
            body: The body, whole or in parts.

        Raises:
            Exception: What httpcore raises.
            CasyncError: What `WatchedStream` raises.
        """
        try:
            head = self._route.head(method, target, fields)
            parts = [head + body] if isinstance(body, bytes) else chain([head], body)
            may_repeat = method in _REPEATABLE
            stream, reused = self._connection(trusted=may_repeat)
            data = _first_bytes(stream, parts)
            if not data and reused and may_repeat:  # closed before it read this
                stream.close()
                stream = self._connect()
                data = _first_bytes(stream, parts)
            return HttpResponse(method, data, stream, self._release)
        except BaseException:
            self._release(False)
            raise

    def send_heads(self, requests: Sequence[tuple[bytes, Fields]]) -> list[str]:
        """Sends HEAD requests one behind the other, each as target and fields.

        Only answers that nothing follows are read, since an answer that is not where it belongs
        would be taken for that of another request: those with status 304.

        Returns:
            The ETags of the first answers, up to one that is something else; empty for none, and
            behind a proxy.

        Raises:
            Exception: As `send`.
        """
        found: list[str] = []
        keeps = False
        try:
            if self._route.proxy is not None:
                return found
            heads = [self._route.head("HEAD", target, fields) for target, fields in requests]
            stream, _ = self._connection(trusted=True)
            data, at = _first_bytes(stream, [b"".join(heads)]), 0
            while data and len(found) < len(requests):
                answer = read_unmodified(data, at)
                if answer is not None:
                    found.append(answer.etag)
                    at = answer.end
                    if answer.closes:
                        return found
                elif is_complete(data, at):
                    return found
                else:
                    more = stream.read()
                    data, at = data[at:] + more if more else b"", 0
            keeps = len(found) == len(requests) and at == len(data)
        except httpcore.ReadError:
            return found
        finally:
            self._release(keeps)
        return found

    def close(self) -> None:
        """Closes the connection. The line has stopped a thread that uses it."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _connection(self, *, trusted: bool) -> tuple[WatchedStream, bool]:
        """The connection for the next request, and whether it had others before."""
        stream, idle = self._stream, time.monotonic() - self._left
        if stream is not None:
            if (trusted and idle < _TRUSTED_SECONDS) or (
                idle < _KEEP_SECONDS and not stream.is_readable
            ):
                return stream, True
            stream.close()
        return self._connect(), False

    def _connect(self) -> WatchedStream:
        self._stream = None
        self._stream = self._route.connect(self._line)
        return self._stream

    def _release(self, keep: bool, /) -> None:
        """Ends a request; closes its connection unless the next one may use it."""
        self._left = time.monotonic()
        stream = self._stream
        if stream is not None and (self._closed or not keep):
            self._stream = None
            stream.close()
        self._done(self)


def _first_bytes(stream: WatchedStream, request: Iterable[bytes]) -> bytes:
    """Sends a request; returns the first bytes of its answer, or none if the connection ended."""
    with suppress(httpcore.WriteError):  # the server may have said why before it closed
        for part in request:
            stream.write(part)
    try:
        return stream.read()
    except httpcore.ReadError:
        stream.at_end = True
        return b""
