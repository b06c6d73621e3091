"""Requests to web servers: connections, redirects, retries, and errors that say what went wrong.

Each server has a pool of watched connections of its own (`casync.remote.http`): a body that no
longer comes, or trickles, is given up, and no time limit ends one that goes on.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Self, cast

import httpcore

from casync.errors import (
    CasyncError,
    DeniedError,
    NotFoundError,
    RemoteError,
    RemoteProtocolError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.backoff import is_temporary, retry_after
from casync.jobs.fault import ObjectFaultKind, status_text
from casync.limits import KIB
from casync.remote.http.address import parse_address
from casync.remote.http.connection import Line, WatchedStream
from casync.remote.http.network_errors import network_error
from casync.remote.http.outage import Outage
from casync.remote.http.patience import Patience
from casync.remote.http.pool import WatchedPool
from casync.remote.http.retry import Retry
from casync.remote.http.tls import make_tls
from casync.remote.sources.base import failed
from casync.remote.sources.header_field import header_field
from casync.remote.sources.http_url import HttpUrl
from casync.remote.sources.options import SourceOptions

__all__ = ["HttpAnswer", "HttpConnections", "refused"]

_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT_SECONDS: Final = 10.0
_MIN_RATE: Final = 1.0 * KIB
"""Bytes per second of a body, below which a server counts as stalled."""

_DRAINED_BYTES: Final = 64 * KIB
"""Bytes of a body without use that are read, so that its connection can be used again."""


class HttpAnswer:
    """The answer to one request. Close it.

    Attributes:
        url: The URL that answered, after redirects.
        status: Its status, which is none of a redirect.
    """

    def __init__(
        self,
        method: str,
        url: HttpUrl,
        response: httpcore.Response,
        server: _Server,
        release: Callable[[], None],
    ) -> None:
        self.url = url
        self._release = release
        self._closed = False
        self._method = method
        self.status = response.status
        self._response = response
        self._server = server
        self._stream = cast(WatchedStream, response.extensions["network_stream"])
        self._stream.body_begins()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def field(self, name: str) -> str:
        """The value of a field; empty if there is none."""
        wanted = name.encode()
        for key, value in self._response.headers:
            if key.lower() == wanted:
                return value.decode("latin-1").strip()
        return ""

    @property
    def fields(self) -> dict[str, str]:
        """All fields by lower-case names; several of one name are joined with commas."""
        found: dict[str, str] = {}
        for key, value in self._response.headers:
            name, text = key.decode("latin-1").lower(), value.decode("latin-1").strip()
            found[name] = f"{found[name]}, {text}" if name in found else text
        return found

    def body(self) -> Iterator[bytes]:
        """The bytes as they were sent, for as long as enough of them come.

        Raises:
            UnreachableError: The connection broke, the body stalled, or is shorter than announced.
        """
        retry = self._server.patience.retry()
        self._stream.flows(retry.left, retry.flow)
        with self._server.translated(in_body=True):
            yield from self._response.iter_stream()

    def drain(self) -> None:
        """Ends the answer, so that the connection can be used again if little is left."""
        if self._method == "HEAD" and self.status != 200:
            return self.close()  # Swift sends a body all the same
        try:
            left = _DRAINED_BYTES
            for piece in self.body():
                left -= len(piece)
                if left < 0:
                    break
        except CasyncError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Ends the answer. Closes its connection unless its body was read to the end."""
        if not self._closed:
            self._closed = True
            self._response.close()
            self._release()


class _Server:
    """The connections to one server.

    Each has a pool of its own, because httpcore looks at all connections of a pool whenever a
    request begins or ends.
    """

    def __init__(self, url: HttpUrl, options: SourceOptions) -> None:
        self.origin = url.server.origin
        self._ca = options.ca
        self._line = Line(self.origin, min_rate=_MIN_RATE, window=options.timeout, limit=None)
        self._timeout = options.timeout
        proxy = None if options.proxy is None else parse_address(options.proxy, "proxy")
        self._proxy = "" if proxy is None else proxy.origin
        uses_tls = "https" in {url.server.scheme, proxy.scheme if proxy else ""}
        self._make_pool = partial(
            WatchedPool,
            self._line,
            tls=make_tls(options.ca, insecure=False) if uses_tls else None,
            proxy=proxy,
            proxy_auth=options.proxy_auth,
            connections=1,
            egress=options.egress,
        )
        self._lock = threading.Lock()
        self._pools: list[WatchedPool] = []
        self._idle: list[WatchedPool] = []
        self.patience = Patience(
            options.retry_for,
            lambda: self._line.connected,
            Outage(self.origin, options.watch, time.monotonic),
            pause=None,
            clock=time.monotonic,
            jitter=random.random,
        )

    def close(self) -> None:
        """Closes all connections."""
        self.patience.stop()
        self._line.stop()
        with self._lock:
            pools = [*self._pools]
        for pool in pools:
            pool.close()

    def send(
        self,
        method: str,
        url: HttpUrl,
        fields: Mapping[bytes, bytes],
        body: bytes,
        retry: Retry,
    ) -> HttpAnswer:
        """Sends one request, once."""
        self._line.begin(min(self._timeout, retry.left), retry.flow)
        server = url.server
        headers = [(b"host", server.authority.encode()), *fields.items()]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        request = httpcore.Request(
            method.encode(),
            httpcore.URL(
                scheme=server.scheme.encode(),
                host=server.host.encode(),
                port=server.port,
                target=url.target,
            ),
            headers=headers,
            content=body,
            extensions={"timeout": {"connect": _CONNECT_SECONDS}},
        )
        pool = self._take()
        release = partial(self._idle.append, pool)
        try:
            with self.translated():
                return HttpAnswer(method, url, pool.send(request), self, release)
        except BaseException:
            release()
            raise

    def _take(self) -> WatchedPool:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            pool = self._make_pool()
            self._pools.append(pool)
            return pool

    @contextmanager
    def translated(self, *, in_body: bool = False) -> Iterator[None]:
        """Translates exceptions of httpcore."""
        origin = self.origin
        try:
            yield
        except (httpcore.TimeoutException, httpcore.NetworkError) as error:
            if self._line.stopped:
                raise StoppedError("stopped") from error
            found = network_error(origin, error, proxy=self._proxy, ca=self._ca)
            raise failed(found, _network_fault(error)) from error
        except UnreachableError as error:
            if self._line.stopped:
                raise StoppedError("stopped") from error
            if not error.fault:
                failed(error, ObjectFaultKind.STALL if in_body else ObjectFaultKind.TIMEOUT)
            raise
        except (httpcore.ProtocolError, httpcore.ProxyError) as error:
            if self._line.stopped:
                raise StoppedError("stopped") from error
            if in_body:
                raise failed(
                    UnreachableError(f"{origin} broke off its answer"), ObjectFaultKind.SHORT_BODY
                ) from error
            if isinstance(error, httpcore.ProxyError) or not self._line.broke_off():
                raise failed(
                    RemoteProtocolError(f"{origin} does not speak HTTP: {error}"),
                    ObjectFaultKind.CONNECT,
                ) from error
            raise failed(
                UnreachableError(f"{origin} closed the connection"), ObjectFaultKind.CONNECT
            ) from error


class HttpConnections:
    """Connections to web servers. Safe for threads.

    Args:
        options: How to reach them.
    """

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._given = dict(header_field(*field) for field in options.headers)

    def close(self) -> None:
        """Closes all connections. Threads that wait for a server get StoppedError."""
        with self._lock:
            servers = list(self._servers.values())
        for server in servers:
            server.close()

    def ask(
        self, method: str, url: HttpUrl, fields: Mapping[bytes, bytes], body: bytes = b""
    ) -> HttpAnswer:
        """Sends a request, again where that may help, and follows redirects.

        Args:
            method: GET or HEAD.
            url: The URL.
            fields: Fields of the request.
            body: The body of the request, for servers that take one.

        Returns:
            The answer, whose status may also be a refusal that no retry helps against.

        Raises:
            UnreachableError: There is no usable answer within the time for retries.
            DeniedError: The rules for connections or redirects forbid an address.
            RemoteError: Another server, or no web server, is there.
        """
        first = url
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._ask_once(method, url, self._fields(first, url, fields), body)
            location = answer.field("location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.drain()
            url = _redirected(url, location)
        raise failed(
            RemoteError(f"{first} redirects more than {_MAX_REDIRECTS} times"),
            ObjectFaultKind.HTTP,
            answer.status,
        )

    def _fields(
        self, first: HttpUrl, url: HttpUrl, fields: Mapping[bytes, bytes]
    ) -> dict[bytes, bytes]:
        """All fields of a request: what is secret goes to the server of the address only."""
        found = {b"user-agent": b"casync", b"accept-encoding": b"identity", b"accept": b"*/*"}
        if first.shares_secrets(url):
            if authorization := url.authorization:
                found[b"authorization"] = authorization
            found |= self._given
        return found | dict(fields)

    def _ask_once(
        self, method: str, url: HttpUrl, fields: Mapping[bytes, bytes], body: bytes
    ) -> HttpAnswer:
        """Sends a request until it is answered, without following redirects."""
        server = self._server(url)
        retry = server.patience.retry()
        while True:
            try:
                answer = server.send(method, url, fields, body, retry)
                if not is_temporary(answer.status):
                    retry.progress()
                    return answer
                wait = retry_after(answer.field("retry-after"), time.time())
                answer.drain()
                raise failed(
                    UnreachableError(f"{url}: {status_text(answer.status)}", retry_after=wait),
                    ObjectFaultKind.HTTP,
                    answer.status,
                )
            except UnreachableError as error:
                server.patience.wait(retry, error)

    def _server(self, url: HttpUrl) -> _Server:
        with self._lock:
            origin = url.server.origin
            if origin not in self._servers:
                self._servers[origin] = _Server(url, self._options)
            return self._servers[origin]


def refused(url: HttpUrl, status: int) -> CasyncError:
    """The error for an answer whose status is no success."""
    message = f"{url}: {status_text(status)}"
    error: CasyncError
    if status in (401, 403):
        error = DeniedError(
            message, next_step="Check the credentials; a presigned URL may have expired."
        )
    elif status in (404, 410):
        error = NotFoundError(message)
    else:
        error = RemoteError(message)
    return failed(error, ObjectFaultKind.HTTP, status)


def _redirected(url: HttpUrl, location: str) -> HttpUrl:
    try:
        target = url.joined(location.encode("latin-1"))
    except UsageError as error:
        raise failed(
            RemoteError(f"{url} redirects to what is no web server"), ObjectFaultKind.HTTP
        ) from error
    if url.server.scheme == "https" and target.server.scheme == "http":
        raise failed(
            DeniedError(
                f"{url} redirects to {target.server.origin}, which is not encrypted",
                next_step="Give that address itself if you trust the way to it.",
            ),
            ObjectFaultKind.POLICY,
        )
    return target


def _network_fault(error: Exception) -> ObjectFaultKind:
    cause = error.args[0] if error.args else None
    if isinstance(cause, socket.gaierror):
        return ObjectFaultKind.DNS
    if isinstance(cause, ssl.SSLError):
        return ObjectFaultKind.TLS
    if isinstance(error, httpcore.TimeoutException):
        return ObjectFaultKind.TIMEOUT
    return ObjectFaultKind.CONNECT
