"""The connections to one server: as many as there were requests at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from casync.errors import StoppedError
from casync.remote.http.connection import Line
from casync.remote.http.exchange import HttpExchange
from casync.remote.http.response import Fields, HttpResponse
from casync.remote.http.route import Route

__all__ = ["HttpPool"]


class HttpPool:
    """Sends requests over connections that are idle, or new ones. Safe for threads.

    Args:
        route: The server and the way to it.
        line: Counts, watches and limits traffic, and wakes waiting threads.
    """

    def __init__(self, route: Route, line: Line) -> None:
        self._route = route
        self._line = line
        self._lock = threading.Lock()
        self._all: list[HttpExchange] = []
        self._idle: list[HttpExchange] = []
        self._closed = False

    def send(
        self, method: str, target: bytes, fields: Fields, body: bytes | Iterable[bytes] = b""
    ) -> HttpResponse:
        """As `HttpExchange.send`."""
        return self._take().send(method, target, fields, body)

    def send_heads(self, requests: Sequence[tuple[bytes, Fields]]) -> list[str]:
        """As `HttpExchange.send_heads`."""
        return self._take().send_heads(requests)

    def close(self) -> None:
        """Closes all connections. The line has stopped threads that use them."""
        with self._lock:
            self._closed = True
        for exchange in self._all:
            exchange.close()

    def _take(self) -> HttpExchange:
        with self._lock:
            if self._closed:
                raise StoppedError("stopped")
            if self._idle:
                return self._idle.pop()
            exchange = HttpExchange(self._route, self._line, self._idle.append)
            self._all.append(exchange)
            return exchange
