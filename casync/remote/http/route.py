"""The way to a server: itself, or through a proxy."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpcore

from casync.fs.paths import StrPath
from casync.remote.http.address import ServerAddress, parse_address
from casync.remote.http.connection import Line, WatchedStream, connect
from casync.remote.http.egress import Egress
from casync.remote.http.response import Fields, HttpResponse, request_head
from casync.remote.http.tls import make_tls

__all__ = ["Route", "make_route"]


@dataclass(frozen=True, slots=True)
class Route:
    """A server and how to connect to it.

    Attributes:
        server: The server.
        tls: TLS settings if the server or the proxy uses https.
        proxy: An HTTP proxy.
        proxy_fields: What it is sent beside the fields of a request.
        egress: Decides which addresses may be connected to; None for all.
        connect_seconds: Time limit for a connection, and again for TLS.
    """

    server: ServerAddress
    tls: ssl.SSLContext | None
    proxy: ServerAddress | None
    proxy_fields: Sequence[tuple[bytes, bytes]] = field(repr=False)
    egress: Egress | None
    connect_seconds: float

    @property
    def proxy_origin(self) -> str:
        """The proxy's name in messages; empty without one."""
        return self.proxy.origin if self.proxy else ""

    @property
    def forwards(self) -> bool:
        """Whether the proxy reads the requests."""
        return self.proxy is not None and self.server.scheme == "http"

    def connect(self, line: Line) -> WatchedStream:
        """A connection on which the server's answers come.

        Raises:
            Exception: What httpcore raises.
            CasyncError: What `connect` raises.
        """
        server, peer = self.server, self.proxy or self.server
        stream = connect(line, peer.host, peer.port, self.connect_seconds, self.egress)
        try:
            if peer.scheme == "https":
                stream = self._encrypted(stream, peer)
            if self.proxy is not None and server.scheme == "https":
                self._open_tunnel(stream)
                stream = self._encrypted(stream, server)
        except BaseException:
            stream.close()
            raise
        return stream

    def head(self, method: str, target: bytes, fields: Fields) -> bytes:
        """The head of a request.

        Raises:
            httpcore.LocalProtocolError: A value has a line break.
        """
        if self.forwards:
            target = self.server.origin.encode() + target
            fields = [*fields, *self.proxy_fields]
        return request_head(method, target, fields)

    def _encrypted(self, stream: WatchedStream, peer: ServerAddress) -> WatchedStream:
        assert self.tls is not None
        self.tls.set_alpn_protocols(["http/1.1"])
        return stream.start_tls(self.tls, peer.host, self.connect_seconds)

    def _open_tunnel(self, stream: WatchedStream) -> None:
        """Asks the proxy to pass on all that follows.

        Raises:
            httpcore.ProxyError: It does not.
        """
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        target = f"{host}:{self.server.port}".encode()
        stream.write(request_head("CONNECT", target, [(b"host", target), *self.proxy_fields]))
        answer = HttpResponse("CONNECT", stream.read(), stream, bool)
        if not 200 <= answer.status < 300:
            raise httpcore.ProxyError(f"{answer.status} {answer.reason}")


def make_route(
    server: ServerAddress,
    *,
    proxy: str | None,
    proxy_auth: str,
    ca: StrPath | None,
    insecure: bool = False,
    egress: Egress | None,
    connect_seconds: float,
) -> Route:
    """The route to a server.

    Args:
        server: The server.
        proxy: Address of an HTTP proxy.
        proxy_auth: `USER:PASSWORD` for it; empty for none.
        ca: PEM file of trusted authorities; None for those of the system.
        insecure: Do not check certificates.
        egress: As in `Route`.
        connect_seconds: As in `Route`.

    Raises:
        UsageError: The authorities cannot be read, or `proxy` is no address.
    """
    via = None if proxy is None else parse_address(proxy, "proxy")
    fields = []
    if via is not None and proxy_auth:
        secret = base64.b64encode(proxy_auth.encode())
        fields.append((b"proxy-authorization", b"Basic " + secret))
    needs_tls = "https" in {server.scheme, via.scheme if via else ""}
    tls = make_tls(ca, insecure=insecure) if needs_tls else None
    return Route(server, tls, via, fields, egress, connect_seconds)
