"""Requests to web servers: redirects, retries, and refusals that say what went wrong."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from casync.errors import (
    CasyncError,
    DeniedError,
    NotFoundError,
    RemoteError,
    UnreachableError,
    UsageError,
)
from casync.jobs.backoff import is_temporary, retry_after
from casync.jobs.fault import ObjectFaultKind, status_text
from casync.remote.sources.base import failed
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web.host import HttpAnswer, HttpHost
from casync.remote.sources.web.url import HttpUrl

__all__ = ["HttpConnections", "refused"]

_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_MAX_SERVERS: Final = 64
"""Servers without a request whose connections are kept: a job may have more hosts than a process
may have open files."""


_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class HttpConnections:
    """Connections to web servers. Safe for threads.

    Args:
        options: How to reach them.
    """

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._servers: dict[str, HttpHost] = {}
        self._given = dict(_header_field(*field) for field in options.headers)

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

    def ask_heads(self, asked: Sequence[tuple[HttpUrl, Mapping[bytes, bytes]]]) -> list[str]:
        """Sends HEAD requests to one server one behind the other, and reads unmodified answers.

        Args:
            asked: The URLs, each with its fields.

        Returns:
            The ETags of the first answers, up to one that is something else; empty for none.

        Raises:
            CasyncError: As `ask`. Nothing is repeated.
        """
        requests = [(url, self._fields(url, url, fields)) for url, fields in asked]
        server = self._take(asked[0][0])
        try:
            return server.send_heads(requests)
        finally:
            server.end()

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
        server = self._take(url)
        try:
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
        finally:
            server.end()

    def _take(self, url: HttpUrl) -> HttpHost:
        """The server of a URL, of which the caller must `end` the use.

        Those that were used last are kept, and all that are in use.
        """
        origin = url.server.origin
        with self._lock:
            server = self._servers.pop(origin, None) or HttpHost(url, self._options)
            server.begin()
            old = self._too_many()
            self._servers[origin] = server
        for each in old:
            each.close()
        return server

    def _too_many(self) -> list[HttpHost]:
        """Takes out the servers without a request beyond those that are kept."""
        if len(self._servers) <= _MAX_SERVERS:
            return []
        idle = [origin for origin, each in self._servers.items() if not each.users]
        return [self._servers.pop(origin) for origin in idle[:-_MAX_SERVERS]]


def refused(url: HttpUrl, status: int) -> CasyncError:
    """The error for an answer whose status is no success."""
    message = f"{url}: {status_text(status)}"
    error: CasyncError
    if status in (401, 403):
        error = DeniedError(
            message,
            next_step="Check the credentials; a presigned URL may have expired, or the server does"
            " not list this folder.",
        )
    elif status in (404, 410):
        error = NotFoundError(message)
    else:
        error = RemoteError(message)
    return failed(error, ObjectFaultKind.HTTP, status)


def _header_field(name: str, value: str) -> tuple[bytes, bytes]:
    """A field that the user gave.

    Raises:
        UsageError: It is none.
    """
    if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
        raise UsageError(f"{name!r} is not a header field", next_step="Write it as NAME: VALUE.")
    return name.lower().encode(), value.strip().encode()


def _redirected(url: HttpUrl, location: str) -> HttpUrl:
    try:
        target = url.joined(location.encode("latin-1"))
    except UsageError as error:
        raise failed(
            RemoteError(f"{url} redirects to an address that is not http or https"),
            ObjectFaultKind.HTTP,
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
