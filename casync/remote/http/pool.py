"""The httpx transport of the client, on top of watched connections.

httpx has no public way to watch its sockets, but it takes any transport. This one is httpx's own
connection pool, httpcore, with connections from `remote.http.connection`. Errors of httpcore pass
through; `remote.http.transport` translates them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpcore
import httpx

from casync.remote.http.address import ServerAddress
from casync.remote.http.connection import Backend, Line
from casync.remote.http.egress import Egress
from casync.remote.http.head_stream import HeadStream

__all__ = ["WatchedPool"]

_KEEP_SECONDS = 15.0
"""Lifetime of an idle connection: shorter than that of servers."""


class WatchedPool(httpx.BaseTransport):
    """Keeps connections to one server, each of them watched.

    Args:
        line: Counts, watches and limits traffic, and wakes waiting threads.
        tls: TLS settings if the server or the proxy uses https.
        proxy: An HTTP proxy.
        proxy_auth: `USER:PASSWORD` for it; empty for none.
        connections: Number of idle connections to keep.
        egress: Decides which addresses may be connected to; None for all.
    """

    def __init__(
        self,
        line: Line,
        *,
        tls: ssl.SSLContext | None,
        proxy: ServerAddress | None,
        proxy_auth: str,
        connections: int,
        egress: Egress | None = None,
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            proxy=_make_proxy(proxy, tls, proxy_auth),
            max_connections=None,  # with a limit, a thread could wait for its own connection
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEP_SECONDS,
            network_backend=Backend(line, egress, HeadStream),
        )

    def send(self, request: httpcore.Request) -> httpcore.Response:
        """Sends one request, without a detour over httpx. Raises as `handle_request`."""
        return self._pool.handle_request(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request. The body of the answer is read lazily.

        Raises:
            Exception: What httpcore raises.
        """
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Answer(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


class _Answer(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response.iter_stream())

    def close(self) -> None:
        self._response.close()


def _make_proxy(
    address: ServerAddress | None, tls: ssl.SSLContext | None, auth: str
) -> httpcore.Proxy | None:
    if address is None:
        return None
    user, _, password = auth.encode().partition(b":")
    return httpcore.Proxy(
        address.origin,
        auth=(user, password) if auth else None,
        ssl_context=tls if address.scheme == "https" else None,
    )
