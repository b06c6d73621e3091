"""The way to one web server: requests one after another, each with its answer.

A channel keeps its connection from one request to the next. `HttpExchange` is the one to a server
itself, `ProxiedChannel` the one through a proxy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, cast

import httpcore

from casync.remote.http.address import ServerAddress
from casync.remote.http.connection import WatchedStream
from casync.remote.http.pool import WatchedPool

__all__ = ["CONNECT_SECONDS", "Fields", "HttpChannel", "HttpResponse", "ProxiedChannel"]

CONNECT_SECONDS: Final = 10.0
"""Time for a connection, TLS included."""

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in order, each with its value."""


class HttpResponse(Protocol):
    """The answer to one request. Its body is read lazily; close it."""

    @property
    def status(self) -> int:
        """Its status."""
        ...

    @property
    def headers(self) -> Fields:
        """Its fields."""
        ...

    @property
    def stream(self) -> WatchedStream:
        """The connection that it comes over."""
        ...

    def iter_stream(self) -> Iterator[bytes]:
        """The body as it comes, once. Raises what httpcore raises."""
        ...

    def close(self) -> None:
        """Ends it. A connection with a body that was not read to its end is closed."""
        ...


class HttpChannel(Protocol):
    """Sends requests one after another. Used by one thread at a time; `close` by any."""

    def send(self, method: str, target: bytes, fields: Fields, body: bytes) -> HttpResponse:
        """Sends one request. The answer before was closed.

        Raises:
            Exception: What httpcore raises.
            CasyncError: What `WatchedStream` raises.
        """
        ...

    def send_heads(self, requests: Sequence[tuple[bytes, Fields]]) -> list[str]:
        """Sends HEAD requests one behind the other, each as target and fields.

        Only answers that nothing follows are read, since an answer that is not where it belongs
        would be taken for that of another request: those with status 304.

        Returns:
            The ETags of the first answers, up to one that is something else; empty for none.

        Raises:
            Exception: As `send`.
        """
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


class ProxiedChannel:
    """An `HttpChannel` through a proxy, by httpcore.

    Args:
        server: The server.
        pool: Has the connection.
    """

    def __init__(self, server: ServerAddress, pool: WatchedPool) -> None:
        self._server = server
        self._pool = pool

    def send(self, method: str, target: bytes, fields: Fields, body: bytes) -> HttpResponse:
        """As `HttpChannel.send`."""
        server = self._server
        request = httpcore.Request(
            method.encode(),
            httpcore.URL(
                scheme=server.scheme.encode(),
                host=server.host.encode(),
                port=server.port,
                target=target,
            ),
            headers=list(fields),
            content=body,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        )
        return _Proxied(self._pool.send(request))

    def send_heads(self, requests: Sequence[tuple[bytes, Fields]]) -> list[str]:
        """As `HttpChannel.send_heads`: proxies are not asked so."""
        return []

    def close(self) -> None:
        """As `HttpChannel.close`."""
        self._pool.close()


class _Proxied:
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self.status = response.status
        self.headers: Fields = response.headers
        self.stream = cast(WatchedStream, response.extensions["network_stream"])

    def iter_stream(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
