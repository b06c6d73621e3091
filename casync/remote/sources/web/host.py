"""The connections to one web server, and its answers.

Connections are watched (`casync.remote.http`): a body that no longer comes, or trickles, is given
up, and no time limit ends one that goes on.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

import httpcore

from casync.errors import CasyncError, RemoteProtocolError, StoppedError, UnreachableError
from casync.jobs.fault import ObjectFaultKind
from casync.limits import KIB
from casync.remote.http.connection import Line
from casync.remote.http.network_errors import network_error
from casync.remote.http.outage import Outage
from casync.remote.http.patience import Patience
from casync.remote.http.pool import HttpPool
from casync.remote.http.response import HttpResponse
from casync.remote.http.retry import Retry
from casync.remote.http.route import make_route
from casync.remote.sources.base import failed
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web.url import HttpUrl

__all__ = ["HttpAnswer", "HttpHost"]

_CONNECT_SECONDS: Final = 10.0
"""Time for a connection, and again for TLS."""

_MIN_RATE: Final = 1.0 * KIB
"""Bytes per second of a body, below which a server counts as stalled."""

_MOST_IN_VAIN: Final = 3
"""Tries to send requests one behind the other, before a server counts as one that cannot."""

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
        response: HttpResponse,
        server: HttpHost,
    ) -> None:
        self.url = url
        self._closed = False
        self._method = method
        self.status = response.status
        self._response = response
        self._server = server
        self._all = [
            (name.decode("latin-1"), value.decode("latin-1").strip())
            for name, value in response.headers
        ]
        self._first = dict(reversed(self._all))
        self._stream = response.stream
        self._stream.body_begins()
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def field(self, name: str) -> str:
        """The value of a field by its lower-case name; empty if there is none."""
        return self._first.get(name, "")

    @property
    def fields(self) -> dict[str, str]:
        """All fields by lower-case names; several of one name are joined with commas."""
        if len(self._first) == len(self._all):
            return self._first.copy()
        found: dict[str, str] = {}
        for name, value in self._all:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    def read_into(self, view: memoryview) -> int:
        """Reads the next bytes of the body, as they were sent; 0 at the end. See `AnswerBody`.

        Raises:
            UnreachableError: The connection broke, the body stalled, or is shorter than announced.
        """
        self._begin()
        with self._server.reading_body:
            return self._response.read_into(view)

    def body(self) -> Iterator[bytes]:
        """The body in blocks, in place of `read_into`, which raises the same."""
        self._begin()
        with self._server.reading_body:
            yield from self._response.body()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            retry = self._server.patience.retry()
            self._stream.flows(retry.left, retry.flow)

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
            self._server.end()


class HttpHost:
    """The connections to one server.

    Attributes:
        users: Requests and open answers.
        asking: Translates exceptions of httpcore in a with block, up to the head of an answer.
        reading_body: The same for bodies.
    """

    def __init__(self, url: HttpUrl, options: SourceOptions) -> None:
        self.origin = url.server.origin
        self._ca = options.ca
        self._line = Line(self.origin, min_rate=_MIN_RATE, window=options.timeout, limit=None)
        self._timeout = options.timeout
        route = make_route(
            url.server,
            proxy=options.proxy,
            proxy_auth=options.proxy_auth,
            ca=options.ca,
            egress=options.egress,
            connect_seconds=_CONNECT_SECONDS,
        )
        self._proxy = route.proxy_origin
        self._pool = HttpPool(route, self._line)
        self._lock = threading.Lock()
        self.users = 0
        self.asking = _Translation(self, in_body=False)
        self.reading_body = _Translation(self, in_body=True)
        self._in_vain = 0  # heads sent one behind the other of which few were answered, in a row
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
        self._pool.close()

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
        headers = [(b"host", url.server.authority.encode()), *fields.items()]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        self.begin()
        try:
            with self.asking:
                response = self._pool.send(method, url.target, headers, body)
                return HttpAnswer(method, url, response, self)
        except BaseException:
            self.end()
            raise

    def send_heads(self, requests: Sequence[tuple[HttpUrl, Mapping[bytes, bytes]]]) -> list[str]:
        """As `HttpConnections.ask_heads`."""
        if self._in_vain >= _MOST_IN_VAIN:
            return []
        retry = self.patience.retry()
        self._line.begin(min(self._timeout, retry.left), retry.flow)
        with self.asking:
            found = self._pool.send_heads(
                [
                    (url.target, [(b"host", url.server.authority.encode()), *fields.items()])
                    for url, fields in requests
                ]
            )
        self._in_vain = self._in_vain + 1 if len(found) < len(requests) // 2 else 0
        return found

    def begin(self) -> None:
        """Begins a request, or opens an answer."""
        with self._lock:
            self.users += 1

    def end(self) -> None:
        """Ends what `begin` began; the answer to a request may still be open."""
        with self._lock:
            self.users -= 1

    def raise_for(self, caught: BaseException, *, in_body: bool) -> None:
        """Raises what an exception of httpcore means, and any other one again."""
        origin = self.origin
        try:
            raise caught
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


class _Translation:
    """A with block whose exceptions of httpcore are translated. Used by many threads at once."""

    def __init__(self, host: HttpHost, *, in_body: bool) -> None:
        self._host = host
        self._in_body = in_body

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._host.raise_for(error, in_body=self._in_body)


def _network_fault(error: Exception) -> ObjectFaultKind:
    cause = error.args[0] if error.args else None
    if isinstance(cause, socket.gaierror):
        return ObjectFaultKind.DNS
    if isinstance(cause, ssl.SSLError):
        return ObjectFaultKind.TLS
    if isinstance(error, httpcore.TimeoutException):
        return ObjectFaultKind.TIMEOUT
    return ObjectFaultKind.CONNECT
