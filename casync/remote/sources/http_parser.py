"""Reads the answers of a web server off a connection, by httptools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import httpcore
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from casync.limits import KIB
from casync.remote.http.connection import WatchedStream
from casync.remote.sources.http_channel import Fields

__all__ = ["READ_BYTES", "ParsedResponse"]

READ_BYTES: Final = 512 * KIB
"""Bytes to read from a connection at once."""

_MAX_QUIET_BYTES: Final = 2 * READ_BYTES
"""Bytes that a server may send with no byte of a body among them."""

_FIRST_FINAL_STATUS: Final = 200
_FRAMED: Final = frozenset({b"content-length", b"transfer-encoding"})


class _Events:
    """What httptools finds: it calls the methods.

    Attributes:
        headers: The fields, by lower-case names.
        began: The head is complete.
        ended: The body is complete.
        keeps: The server keeps the connection after its answer.
        surplus: It sent more than that.
        pieces: What came of the body.
    """

    def __init__(self, *, has_body: bool) -> None:
        self._has_body = has_body
        self.parser = HttpResponseParser(self)
        self.parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self.headers: list[tuple[bytes, bytes]] = []
        self.began = self.ended = self.keeps = self.surplus = False
        self.pieces: list[bytes] = []

    def on_message_begin(self) -> None:
        self.surplus = self.ended

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.began:  # otherwise a trailer
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.parser.get_status_code() < _FIRST_FINAL_STATUS:
            self.headers.clear()
            return
        self.began = True
        if not self._has_body:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self.ended:
            self.surplus = True
        else:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.ended = self.began
        self.keeps = self.parser.should_keep_alive()


class ParsedResponse:
    """An `HttpResponse`.

    Args:
        method: The method of the request.
        data: The first bytes of the answer.
        stream: Gives the next.
        release: Is told at the end whether the connection can be used again.

    Raises:
        httpcore.RemoteProtocolError: It is no answer.
    """

    def __init__(
        self, method: str, data: bytes, stream: WatchedStream, release: Callable[..., None]
    ) -> None:
        self.stream = stream
        self._events = _Events(has_body=method != "HEAD")
        self._quiet = 0
        self._release: Callable[..., None] | None = release
        self._feed(data)
        while not self._events.began:
            self._feed(stream.read(READ_BYTES))
        self.status = self._events.parser.get_status_code()
        self.headers: Fields = self._events.headers

    def iter_stream(self) -> Iterator[bytes]:
        """As `HttpResponse.iter_stream`."""
        events = self._events
        while True:
            pieces, events.pieces = events.pieces, []
            yield from pieces
            if events.ended:
                return
            self._feed(self.stream.read(READ_BYTES))

    def close(self) -> None:
        """As `HttpResponse.close`."""
        release, self._release = self._release, None
        if release is not None:
            events = self._events
            release(keep=events.ended and events.keeps and not events.surplus and not events.pieces)

    def _feed(self, data: bytes) -> None:
        """Takes the next bytes; none if the connection has ended."""
        events = self._events
        if not data:
            self._end()
            return
        try:
            events.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            events.surplus = True
            if not events.ended:
                raise httpcore.RemoteProtocolError(f"not HTTP: {error}") from error
        self._quiet = 0 if events.pieces else self._quiet + len(data)
        if self._quiet > _MAX_QUIET_BYTES:
            raise httpcore.RemoteProtocolError("more fields than an answer may have")

    def _end(self) -> None:
        """The connection ended: so does a body without a length."""
        events = self._events
        events.ended = events.surplus = True
        if not events.began:
            raise httpcore.RemoteProtocolError("there is no answer")
        if any(name in _FRAMED for name, _ in self.headers):
            raise httpcore.RemoteProtocolError("the body ended too early")
