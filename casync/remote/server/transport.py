"""HTTP to one server: sends requests, reads bounded answers, and raises only casync's errors.

httpx runs on a transport of casync's own, without redirects, cookies, content decoding, and
proxies or credentials from the environment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Final, cast

import httpcore
import httpx

from casync.errors import (
    CasyncError,
    RemoteProtocolError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from casync.ids import Buffer
from casync.jobs.backoff import retry_after
from casync.limits import KIB
from casync.remote.http.address import parse_address
from casync.remote.http.connection import Line, WatchedStream
from casync.remote.http.network_errors import network_error
from casync.remote.http.pool import HttpPool
from casync.remote.http.retry import Retry
from casync.remote.http.route import make_route
from casync.remote.server.httpx_transport import PoolTransport
from casync.remote.server.message import Reply, Request
from casync.remote.server.partial import PARTIAL, part_memory, part_start
from casync.remote.server.refusal import proxy_refusal, refusal
from casync.remote.server.transport_options import TransportOptions
from casync.store.base import Traffic

__all__ = ["Body", "Transport"]

_MAX_PROBLEM_BYTES: Final = 64 * KIB
_END_SECONDS: Final = 1.0
"""Time for the end of a body after its last frame: a new connection costs less than waiting on."""

_SUCCESS: Final = frozenset({200, 202})
_LENGTH_FIELDS: Final = (b"content-length", b"transfer-encoding")
"""Without one of these fields a truncated answer looks complete."""


class Transport:
    """Requests to one server. Used by several threads at once.

    Args:
        url: The server's address.
        options: Options of the connections.

    Attributes:
        origin: The server's name in messages.
        warnings: Warnings for the user about the connection.

    Raises:
        UsageError: The address or an option is invalid, or a token would be sent in the clear.
    """

    def __init__(self, url: str, options: TransportOptions) -> None:
        self._address = parse_address(url)
        self._options = options
        self.origin = self._address.origin
        self.warnings: list[str] = []
        self._line = Line(
            self.origin, min_rate=options.min_rate, window=options.window, limit=options.limit
        )
        self._fields = self._make_fields()
        self._ca = options.authorities.get(self.origin, options.ca)
        route = make_route(
            self._address,
            proxy=options.proxy,
            proxy_auth=options.proxy_auth,
            ca=self._ca,
            insecure=options.insecure,
            egress=options.egress,
            connect_seconds=options.connect_seconds,
        )
        if options.insecure and route.tls is not None:
            self.warnings.append(
                f"the certificate of {self.origin} is not checked; any machine can pose as it"
            )
        self._proxy = route.proxy_origin
        transport = PoolTransport(HttpPool(route, self._line))
        self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)

    @property
    def place(self) -> str:
        """The address in messages: the server, and the path below which its resources are."""
        return self.origin + self._address.prefix

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        return self._line.traffic

    @property
    def is_fast(self) -> bool:
        """Whether the link is so fast that deltas cost more time than they save."""
        return self._line.is_fast

    @property
    def has_room(self) -> bool:
        """Whether the server sends less than the link can carry."""
        return self._line.has_room

    @property
    def piece_bytes(self) -> int:
        """Bytes of a body to send at once for an even rate."""
        return self._line.piece_bytes

    def count(self, more: Traffic) -> None:
        """Adds to the traffic what only the caller knows."""
        self._line.count(more)

    @property
    def connected(self) -> bool:
        """Whether a connection was ever made."""
        return self._line.connected

    def close(self) -> None:
        """Closes all connections. Threads that wait for the server get StoppedError."""
        self._line.stop()
        self._client.close()

    def read(self, request: Request, max_bytes: int, retry: Retry) -> Reply:
        """Requests a small answer and reads it whole.

        Args:
            request: The request.
            max_bytes: Bytes of the largest acceptable answer.
            retry: Bounds the time.

        Raises:
            UnreachableError: There is no usable answer; a retry may succeed.
            RemoteProtocolError: The answer exceeds `max_bytes`, or breaks HTTP or the `request`.
            DeniedError, NotFoundError, UnsupportedError, RemoteError: The server refused.
            StoppedError: `close` was called.
        """
        with self._exchange(request, retry) as (response, body):
            self._check_length(response)
            return Reply(
                _content_type(response), self._collect(body, max_bytes), response.status_code
            )

    def read_part(self, request: Request, max_bytes: int, retry: Retry) -> memoryview:
        """Requests a part of a resource and reads it whole; fewer bytes at the resource's end.

        Raises:
            CasyncError: As `read`.
        """
        assert request.span is not None
        first, end = request.span
        with self._exchange(request, retry) as (response, body):
            self._check_length(response)
            named = partial(_field, response)
            start = part_start(self.origin, response.status_code, named, request.span, max_bytes)
            body.flows(retry)
            data = part_memory(max_bytes)
            for piece in self._bounded(body, max_bytes):
                data.write(piece)
            if _content_type(response) == "text/html" and data[:1] == b"<":
                raise RemoteProtocolError(
                    f"{self.origin} answers with a web page in the place of {request.target}",
                    next_step="Check the address, and whether the network asks for a login.",
                )
            return memoryview(data)[: data.tell()][first - start : end - start]

    @contextmanager
    def stream(self, request: Request, retry: Retry) -> Iterator[Body]:
        """Requests an answer of any size, which marks its own end. The caller bounds its size.

        Leaving the context early closes the connection.

        Raises:
            CasyncError: As `read`, also while the body is read.
        """
        with self._exchange(request, retry) as (_, body):
            body.flows(retry)
            yield body

    @contextmanager
    def _exchange(self, request: Request, retry: Retry) -> Iterator[tuple[httpx.Response, Body]]:
        self._line.begin(min(self._options.answer_seconds, retry.left), retry.flow)
        with self._translated():
            response = self._client.send(self._make_request(request), stream=True)
        with closing(Body(self, response)) as body:
            is_part = request.span is not None and response.status_code == PARTIAL
            if response.status_code not in _SUCCESS and not is_part:
                raise self._refusal(request, response, body)
            encoding = _field(response, b"content-encoding")
            if encoding not in (None, "identity"):
                raise RemoteProtocolError(
                    f"{self.origin} answers with Content-Encoding {encoding}",
                    next_step="Turn compression off there, or in the proxy before it.",
                )
            content_type = _content_type(response)
            if request.accept and content_type not in request.accept:
                raise RemoteProtocolError(
                    f"{self.origin} answers with {content_type or 'no media type'} where "
                    f"{' or '.join(request.accept)} was expected",
                    next_step="Check the address of the server.",
                )
            yield response, body

    def _refusal(self, request: Request, response: httpx.Response, body: Body) -> CasyncError:
        try:
            text = self._collect(body, _MAX_PROBLEM_BYTES)
        except CasyncError:
            text = b""
        error = refusal(
            self.origin,
            response.status_code,
            _content_type(response),
            text,
            retry_after(_field(response, b"retry-after"), time.time()),
            writing=request.writing,
            prefix=self._address.prefix,
            token=self.origin in self._options.tokens,
            size=request.size,
            proxy=self._proxy,
        )
        error.status = response.status_code
        return error

    def _check_length(self, response: httpx.Response) -> None:
        if not any(_field(response, name) for name in _LENGTH_FIELDS):
            raise RemoteProtocolError(f"{self.origin} does not announce its answer's length")

    def _collect(self, body: Body, max_bytes: int) -> bytes:
        return b"".join(self._bounded(body, max_bytes))

    def _bounded(self, body: Body, max_bytes: int) -> Iterator[Buffer]:
        room = max_bytes
        for piece in body:
            room -= len(piece)
            if room < 0:
                raise RemoteProtocolError(f"{self.origin} answers with more than {max_bytes} bytes")
            yield piece

    def _make_request(self, request: Request) -> httpx.Request:
        address = self._address
        accept = ", ".join(request.accept) or "*/*"
        fields = [*self._fields, (b"Accept", accept.encode()), *request.fields]
        if request.span is not None:
            start, end = request.span
            fields.append((b"Range", f"bytes={start}-{end - 1}".encode()))
        if trail := self._options.trail():
            fields.append((b"CDN-Loop", trail.encode("latin-1")))
        body = request.body
        if body is not None:
            fields.append((b"Content-Type", request.body_type.encode()))
            fields.append((b"Content-Length", str(request.size).encode()))
        self._line.count(Traffic(1, 0, 0))
        # The client's own requests would carry cookies and further fields.
        return httpx.Request(
            request.method or ("GET" if body is None else "POST"),
            httpx.URL(
                scheme=address.scheme,
                host=address.host,
                port=address.port,
                raw_path=address.target(request.target).encode("ascii"),
            ),
            headers=fields,
            content=body if request.sent is None else request.parts(),
        )

    def _make_fields(self) -> list[tuple[bytes, bytes]]:
        fields = [
            (b"Host", self._address.authority.encode()),
            (b"User-Agent", b"casync"),
            (b"Accept-Encoding", b"identity"),
        ]
        token = self._options.tokens.get(self.origin)
        if token is None:
            return fields
        if not (token.isascii() and token.isprintable()) or not token or " " in token:
            raise UsageError(f"the token for {self.origin} is not one line of ASCII")
        options = self._options
        alone = self._address.is_loopback and options.proxy is None
        if self._address.scheme == "http" and not alone and not options.insecure_http:
            raise UsageError(
                f"the token for {self.origin} would cross the network in the clear",
                next_step="Use https, or allow it with --insecure-http.",
            )
        return [*fields, (b"Authorization", f"Bearer {token}".encode())]

    @contextmanager
    def _translated(self, stream: WatchedStream | None = None) -> Iterator[None]:
        """Translates exceptions of httpx and httpcore."""
        try:
            yield
        except (CasyncError, httpcore.TimeoutException, httpcore.NetworkError) as error:
            if self._line.stopped:
                raise StoppedError("stopped") from error
            if isinstance(error, CasyncError):
                raise
            raise network_error(self.origin, error, proxy=self._proxy, ca=self._ca) from error
        except RuntimeError as error:  # httpx raises it after the client was closed
            if self._line.stopped:
                raise StoppedError("stopped") from error
            raise
        except (httpcore.ProtocolError, httpcore.ProxyError) as error:
            if self._line.stopped:
                raise StoppedError("stopped") from error
            if stream.at_end if stream else self._line.broke_off():
                raise UnreachableError(f"{self.origin} closed the connection") from error
            if isinstance(error, httpcore.ProxyError):
                raise proxy_refusal(self.origin, self._proxy, str(error)) from error
            raise RemoteProtocolError(f"{self.origin} does not speak HTTP: {error}") from error


class Body:
    """The body of one answer, as it arrives, cut anywhere."""

    def __init__(self, transport: Transport, response: httpx.Response) -> None:
        self._transport = transport
        self._response = response
        self._stream = cast(WatchedStream, response.extensions["network_stream"])
        self._stream.body_begins()

    def flows(self, retry: Retry) -> None:
        """Declares the body large: it may take as long as it makes progress, by `retry`."""
        self._stream.flows(retry.left, retry.flow)

    def ends(self) -> None:
        """Declares the content complete: the body must end within a second.

        Otherwise reading raises UnreachableError, and the connection is not used again.
        """
        self._stream.ends(_END_SECONDS)

    def __iter__(self) -> Iterator[Buffer]:
        with self._transport._translated(self._stream):
            yield from self._response.iter_raw()

    def close(self) -> None:
        """Ends the exchange. Closes the connection unless the body was read to its end."""
        self._response.close()
        # httpx binds the stream to the answer: a cycle, which would keep both bodies for long.
        self._response.stream = httpx.ByteStream(b"")


def _field(response: httpx.Response, name: bytes) -> str | None:
    for key, value in response.headers.raw:
        if key == name:
            return value.decode("latin-1").strip().lower()
    return None


def _content_type(response: httpx.Response) -> str:
    return (_field(response, b"content-type") or "").partition(";")[0].strip()
