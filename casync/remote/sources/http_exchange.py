"""A kept connection to a web server, on which one request follows the other."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import httpcore

from casync.remote.http.address import ServerAddress
from casync.remote.http.connection import Backend, Line, WatchedStream
from casync.remote.http.egress import Egress
from casync.remote.sources.http_channel import CONNECT_SECONDS, Fields
from casync.remote.sources.http_heads import is_complete, read_unmodified
from casync.remote.sources.http_parser import READ_BYTES, ParsedResponse

__all__ = ["HttpExchange"]

_REPEATABLE: Final = frozenset({"GET", "HEAD"})

_KEEP_SECONDS: Final = 15.0
"""Lifetime of an idle connection: shorter than that of servers."""

_TRUSTED_SECONDS: Final = 1.0
"""After a longer pause a connection is looked at: the server may have closed it, or said why."""


class HttpExchange:
    """A `HttpChannel` to a server itself.

    Args:
        server: The server.
        line: Watches its connections.
        tls: TLS settings, which an https server needs.
        egress: Decides which addresses may be connected to; None for all.
    """

    def __init__(
        self,
        server: ServerAddress,
        line: Line,
        tls: ssl.SSLContext | None,
        egress: Egress | None,
    ) -> None:
        self._server = server
        self._backend = Backend(line, egress)
        self._tls = tls if server.scheme == "https" else None
        self._stream: WatchedStream | None = None
        self._left = 0.0  # when the last answer ended, on the monotonic clock
        self._closed = False

    def send(self, method: str, target: bytes, fields: Fields, body: bytes) -> ParsedResponse:
        """As `HttpChannel.send`."""
        head = _request(method, target, fields)
        stream, reused = self._connection()
        try:
            data = _first_bytes(stream, head + body)
            if not data and reused and method in _REPEATABLE:  # closed before it read this
                stream.close()
                stream = self._connect()
                data = _first_bytes(stream, head + body)
            release = partial(self._release, stream)
            return ParsedResponse(method, data, stream, release)
        except BaseException:
            self._release(stream, keep=False)
            raise

    def send_heads(self, requests: Sequence[tuple[bytes, Fields]]) -> list[str]:
        """As `HttpChannel.send_heads`."""
        stream, _ = self._connection()
        found: list[str] = []
        keeps = False
        try:
            heads = [_request("HEAD", target, fields) for target, fields in requests]
            data, at = _first_bytes(stream, b"".join(heads)), 0
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
                    more = stream.read(READ_BYTES)
                    data, at = data[at:] + more if more else b"", 0
            keeps = len(found) == len(requests) and at == len(data)
        except httpcore.ReadError:
            return found
        finally:
            self._release(stream, keep=keeps)
        return found

    def close(self) -> None:
        """As `HttpChannel.close`. The line has stopped a thread that uses the connection."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _connection(self) -> tuple[WatchedStream, bool]:
        """The connection for the next request, and whether it had others before."""
        stream, idle = self._stream, time.monotonic() - self._left
        if stream is not None:
            if idle < _TRUSTED_SECONDS or (
                idle < _KEEP_SECONDS and not stream.get_extra_info("is_readable")
            ):
                return stream, True
            stream.close()
        return self._connect(), False

    def _connect(self) -> WatchedStream:
        server = self._server
        stream: Any = self._backend.connect_tcp(server.host, server.port, CONNECT_SECONDS)
        if self._tls is not None:
            self._tls.set_alpn_protocols(["http/1.1"])
            stream = stream.start_tls(self._tls, server.host, CONNECT_SECONDS)
        assert isinstance(stream, WatchedStream)
        self._stream = stream
        return stream

    def _release(self, stream: WatchedStream, *, keep: bool) -> None:
        self._left = time.monotonic()
        if self._closed or not keep:
            self._stream = None
            stream.close()


def _request(method: str, target: bytes, fields: Fields) -> bytes:
    """The head of a request.

    Raises:
        httpcore.LocalProtocolError: A value has a line break.
    """
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target)]
    lines += [b"%s: %s" % field for field in fields]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(fields) or head.count(b"\r") != len(fields) or b"\0" in head:
        raise httpcore.LocalProtocolError("a field of the request has a line break")
    return head + b"\r\n\r\n"


def _first_bytes(stream: WatchedStream, request: bytes) -> bytes:
    """Sends a request; returns the first bytes of its answer, or none if the connection ended."""
    with suppress(httpcore.WriteError):  # the server may have said why before it closed
        stream.write(request)
    try:
        return stream.read(READ_BYTES)
    except httpcore.ReadError:
        stream.at_end = True
        return b""
