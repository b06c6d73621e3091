"""A kept connection to a web server, on which one request follows the other.

Most answers have a plain head, in one piece with the beginning of a body of announced length: these
are read here, in a tenth of the time that a general parser takes. Whatever looks different goes to
h11 with all its bytes: HTTP/1.0, chunks, bodies without a length, heads in pieces, nonsense.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import h11
import httpcore

from casync.limits import KIB
from casync.remote.http.address import ServerAddress
from casync.remote.http.connection import Backend, Line, WatchedStream
from casync.remote.http.egress import Egress
from casync.remote.sources.http_channel import CONNECT_SECONDS, Fields

__all__ = ["HttpExchange"]

_PLAIN_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_EMPTY: Final = frozenset({204, 304})
_REPEATABLE: Final = frozenset({"GET", "HEAD"})

_READ_BYTES: Final = 512 * KIB
_MAX_EVENT_BYTES: Final = 100 * KIB
"""Bytes of a head, or of the head of a chunk, that h11 takes."""

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

    def send(self, method: str, target: bytes, fields: Fields, body: bytes) -> _Response:
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
            return _plain(method, data, stream, release) or _by_h11(method, data, stream, release)
        except BaseException:
            self._release(stream, keep=False)
            raise

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


class _Response:
    """An `HttpResponse`. `release` is told whether its connection can be used again."""

    def __init__(
        self,
        status: int,
        headers: Fields,
        stream: WatchedStream,
        body: Iterator[bytes],
        keeps: Callable[[], bool],
        release: Callable[..., None],
    ) -> None:
        self.status = status
        self.headers = headers
        self.stream = stream
        self._body = body
        self._keeps = keeps
        self._release: Callable[..., None] | None = release
        self._ended = False

    def iter_stream(self) -> Iterator[bytes]:
        """As `HttpResponse.iter_stream`."""
        yield from self._body
        self._ended = True

    def close(self) -> None:
        """As `HttpResponse.close`."""
        release, self._release = self._release, None
        if release is not None:
            release(keep=self._ended and self._keeps())


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
        return stream.read(_READ_BYTES)
    except httpcore.ReadError:
        stream.at_end = True
        return b""


def _plain(
    method: str, data: bytes, stream: WatchedStream, release: Callable[..., None]
) -> _Response | None:
    """The answer that begins with `data`, if it has a plain head."""
    found = _PLAIN_HEAD.match(data)
    if found is None:
        return None
    status = int(found[1])
    headers: list[tuple[bytes, bytes]] = []
    lengths: list[bytes] = []
    keeps = True
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            return None
        elif name == b"connection":
            keeps = keeps and b"close" not in value.lower()
    length = 0
    if method != "HEAD" and status not in _EMPTY:
        if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            return None
        length = int(lengths[0])
    left = length

    def body() -> Iterator[bytes]:
        nonlocal left
        piece = data[found.end() :]
        while True:
            left -= len(piece)
            if piece:
                yield piece[:left] if left < 0 else piece
            if left <= 0:
                return
            piece = stream.read(_READ_BYTES)
            if not piece:
                raise httpcore.RemoteProtocolError(f"the body ended {left} bytes too early")

    return _Response(status, headers, stream, body(), lambda: keeps and not left, release)


def _by_h11(
    method: str, data: bytes, stream: WatchedStream, release: Callable[..., None]
) -> _Response:
    """The answer that begins with `data`, whatever it looks like.

    Raises:
        httpcore.RemoteProtocolError: It is none.
    """
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_EVENT_BYTES)
    parser.send(h11.Request(method=method, target="/", headers=[("host", "")]))  # as far as matters
    parser.send(h11.EndOfMessage())
    events = _events(parser, data, stream)
    for event in events:
        if isinstance(event, h11.Response):
            break
    else:
        raise httpcore.RemoteProtocolError("there is no answer")

    def body() -> Iterator[bytes]:
        for event in events:
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    def keeps() -> bool:
        states = {parser.our_state, parser.their_state}
        return states == {h11.DONE} and parser.trailing_data == (b"", False)

    return _Response(event.status_code, event.headers.raw_items(), stream, body(), keeps, release)


def _events(parser: h11.Connection, data: bytes, stream: WatchedStream) -> Iterator[h11.Event]:
    """What h11 finds in an answer that begins with `data`."""
    try:
        while True:
            parser.receive_data(data)
            while (event := parser.next_event()) is not h11.NEED_DATA:
                if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    return
                assert isinstance(event, h11.Event)
                yield event
            data = stream.read(_READ_BYTES)
    except h11.RemoteProtocolError as error:
        raise httpcore.RemoteProtocolError(str(error)) from error
