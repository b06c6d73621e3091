"""Requests and answers of HTTP as bytes; httptools reads the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import httpcore
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from casync.limits import MIB
from casync.remote.http.connection import WatchedStream

__all__ = ["Fields", "HttpResponse", "request_head"]

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in order, each with its value."""

_MAX_QUIET_BYTES: Final = MIB
"""Bytes that a server may send with no byte of a body among them."""

_READ_BYTES: Final = MIB // 2
"""Bytes of a body that are read at once."""

_FIRST_FINAL_STATUS: Final = 200
_BODILESS: Final = frozenset({"HEAD", "CONNECT"})
_FRAMED: Final = frozenset({b"content-length", b"transfer-encoding"})


class _Events:
    """What httptools finds: it calls the methods.

    Attributes:
        headers: The fields, by lower-case names.
        reason: The text of the status.
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
        self.reason = ""
        self.began = self.ended = self.keeps = self.surplus = False
        self.pieces: list[bytes] = []

    def on_message_begin(self) -> None:
        self.surplus = self.ended

    def on_status(self, status: bytes) -> None:
        self.reason = status.decode("ascii", "replace")

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


class HttpResponse:
    """The answer to one request. Its body is read lazily; close it.

    Args:
        method: The method of the request.
        data: The first bytes of the answer.
        stream: Gives the next.
        release: Is told at the end whether the connection can be used again.

    Attributes:
        status: Its status.
        reason: The text behind it, which has no meaning.
        headers: Its fields, by lower-case names.
        stream: The connection that it comes over.

    Raises:
        httpcore.RemoteProtocolError: It is no answer.
    """

    def __init__(
        self, method: str, data: bytes, stream: WatchedStream, release: Callable[[bool], object]
    ) -> None:
        self.stream = stream
        self._events = _Events(has_body=method not in _BODILESS)
        self._quiet = 0
        self._release: Callable[[bool], object] | None = release
        self._feed(data)
        while not self._events.began:
            self._feed(stream.read())
        self.status = self._events.parser.get_status_code()
        self.reason = self._events.reason
        self.headers: Fields = self._events.headers
        self._left = self._unparsed()
        self._copied = 0  # bytes of the first piece

    def body(self) -> Iterator[bytes]:
        """The body as it comes, once.

        Raises:
            httpcore.RemoteProtocolError: It is not HTTP, or ends too early.
            Exception: What `WatchedStream.read` raises.
        """
        events = self._events
        memory: memoryview | None = None  # for all reads: httptools copies what it finds
        while True:
            pieces, events.pieces = events.pieces, []
            yield from pieces
            if events.ended:
                return
            if not self.stream.fills:
                self._feed(self.stream.read())
                continue
            if memory is None:
                memory = memoryview(bytearray(_READ_BYTES))
            self._feed(memory[: self.stream.read_into(memory, whole=False)])

    def read_into(self, view: memoryview) -> int:
        """Reads the next bytes of the body into `view`, in place of `body`.

        Returns:
            How many came; 0 at the end.

        Raises:
            Exception: As `body`.
        """
        events = self._events
        while not events.pieces:
            if events.ended:
                return 0
            if self._left:
                return self._fill(view, self._left)
            self._feed(self.stream.read())
        piece, first = events.pieces[0], self._copied
        count = min(len(view), len(piece) - first)
        view[:count] = memoryview(piece)[first : first + count]
        self._copied += count
        if self._copied == len(piece):
            del events.pieces[0]
            self._copied = 0
        return count

    def _unparsed(self) -> int:
        """Bytes of the body that can be read without a look at them; 0 if it must be parsed."""
        if self._events.ended or not self.stream.fills:
            return 0
        framing = [field for field in self.headers if field[0] in _FRAMED]
        if len(framing) != 1 or framing[0][0] != b"content-length":
            return 0
        return int(framing[0][1]) - sum(map(len, self._events.pieces))

    def _fill(self, view: memoryview, left: int) -> int:
        """Reads bytes of a body to where they are needed."""
        count = self.stream.read_into(view[:left])
        if not count:
            self._end()
        self._left = left - count
        if not self._left:
            events = self._events
            events.ended = True
            events.keeps = events.parser.should_keep_alive()
            events.surplus = self.stream.is_readable
        return count

    def close(self) -> None:
        """Ends it. A connection with a body that was not read to its end is closed."""
        release, self._release = self._release, None
        if release is not None:
            events = self._events
            del events.parser  # it calls `events`: a cycle, which would keep the body for long
            release(events.ended and events.keeps and not events.surplus and not events.pieces)

    def _feed(self, data: bytes | memoryview) -> None:
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


def request_head(method: str, target: bytes, fields: Fields) -> bytes:
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
