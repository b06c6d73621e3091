"""Connections that always end: counted, watched and rate-limited at the socket.

A timeout of a socket covers one `recv`, so a peer that sends single bytes never meets it. The
bounds on a peer are therefore here: a minimum rate over a window of waiting, a maximum size of
heads (against endless `100 Continue`), a rate limit, and a way to wake waiting threads.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import httpcore

from casync.errors import RemoteProtocolError, StoppedError, UnreachableError
from casync.limits import KIB, MIB
from casync.remote.http.egress import Egress
from casync.remote.http.link_load import LinkLoad
from casync.remote.http.plain_stream import PlainStream
from casync.remote.http.rate_limit import RateLimit
from casync.sizes import format_size
from casync.store.base import Traffic

__all__ = ["Line", "WatchedStream", "connect"]

_READ_BYTES: Final = 512 * KIB
"""Bytes of one read from the socket. Bytes of one read are decoded together, and each read takes
the interpreter from other threads."""

_WRITE_BYTES: Final = 256 * KIB
"""Bytes of one write to the socket, which is also one measurement of the sending rate."""

_MAX_HEAD_BYTES: Final = 128 * KIB
"""Bytes before an answer's body. Servers take fields of 8 to 64 KiB."""

_T = TypeVar("_T")

_LEAST_SECONDS: Final = 0.001
"""The shortest timeout: sockets take 0 for not waiting at all."""

_FAST_RATE: Final = 150_000_000
"""Bytes per second from which on chunks arrive sooner than deltas of them are made."""

_DOUBTED_BYTES: Final = 256 * KIB
"""Bytes that must arrive fast before a link counts as fast."""

_JUDGED_BYTES: Final = 16 * MIB
"""Bytes after which the weight of earlier bytes is halved."""


class Line:
    """The state that all connections to one server share: counts, bounds, and whether to stop.

    Args:
        origin: The server's name in messages.
        min_rate: Bytes per second that it must send while a thread waits for it.
        window: Seconds of waiting over which `min_rate` is measured.
        limit: The rate limit; None for none.
    """

    def __init__(
        self, origin: str, *, min_rate: float, window: float, limit: RateLimit | None
    ) -> None:
        self.origin = origin
        self.min_rate = min_rate
        self.window = window
        self.limit = limit
        self.connected = False
        self.stopped = False
        self.read_bytes = min(_READ_BYTES, limit.piece_bytes) if limit else _READ_BYTES
        self.piece_bytes = min(_WRITE_BYTES, limit.piece_bytes) if limit else _WRITE_BYTES
        self._lock = threading.Lock()
        self._traffic = Traffic(0, 0, 0)
        self._sent = self._received = 0  # apart from `_traffic`, which is costlier to add to
        self._fast_bytes = 0
        self._slow_bytes = _DOUBTED_BYTES
        self._load = LinkLoad()
        self._waiting = 0
        self._streams: set[WatchedStream] = set()
        self._used = threading.local()

    @property
    def traffic(self) -> Traffic:
        """All traffic so far, including heads; with TLS, the bytes inside it."""
        return self._traffic + Traffic(0, self._sent, self._received)

    def count(self, more: Traffic) -> None:
        """Adds to the traffic."""
        with self._lock:
            self._traffic += more

    @property
    def is_fast(self) -> bool:
        """Whether most of the recent bytes came at `_FAST_RATE` or faster, without a rate limit."""
        return self._fast_bytes > self._slow_bytes and self.limit is None

    @property
    def has_room(self) -> bool:
        """Whether the peer sends less than the link can carry."""
        return self._load.has_room

    def begin_waiting(self) -> int:
        """One more stream waits; returns how many do."""
        with self._lock:
            self._waiting += 1
            return self._waiting

    def end_waiting(self) -> None:
        """One stream less waits."""
        with self._lock:
            self._waiting -= 1

    def judge(self, count: int, waited: float, sharers: int) -> None:
        """Counts `count` bytes that came after `waited` seconds: the speed of the link.

        The speed of most bytes decides, not the mean: pauses of the server between bursts do not
        make a link slow. Nor does sharing it among `sharers` streams.
        """
        self._load.add(count)
        with self._lock:
            self._received += count
            if waited * _FAST_RATE <= count * sharers:
                self._fast_bytes += count
            else:
                self._slow_bytes += count
            if self._fast_bytes + self._slow_bytes > _JUDGED_BYTES:
                self._fast_bytes //= 2
                self._slow_bytes //= 2

    def throttle(self, count: int) -> float:
        """Waits for as long as the rate limit demands for `count` bytes; returns the seconds."""
        if self.limit is None:
            return 0.0
        started = time.monotonic()
        self.limit.take(count)
        return time.monotonic() - started

    def add(self, stream: WatchedStream) -> None:
        """Registers an open stream."""
        with self._lock:
            self.connected = True
            self._streams.add(stream)

    def drop(self, stream: WatchedStream) -> None:
        """Unregisters a closed stream."""
        with self._lock:
            self._streams.discard(stream)

    def begin(self, seconds: float, flow: Callable[[float], object]) -> None:
        """Begins a request of this thread.

        Args:
            seconds: Time for connecting, sending and the answer's head together, and for the body
                of a small answer. Time that a request's body takes at a fair rate is added.
            flow: Called with the seconds that a large body took at a fair rate.
        """
        self._used.stream = None
        self._used.deadline = time.monotonic() + seconds
        self._used.flow = flow

    @property
    def deadline(self) -> float:
        """Time by which this thread's request must be answered, on the monotonic clock."""
        return float(getattr(self._used, "deadline", math.inf))

    @property
    def left(self) -> float:
        """Seconds until the deadline, always above 0."""
        return max(self.deadline - time.monotonic(), _LEAST_SECONDS)

    def sent(self, stream: WatchedStream, count: int, seconds: float) -> None:
        """Records that `count` bytes of this thread's request went out within `seconds`."""
        with self._lock:
            self._sent += count
        self._used.stream = stream
        self._used.deadline = self.deadline + seconds
        self._used.flow(seconds)

    def broke_off(self) -> bool:
        """Whether the peer closed the connection of this thread's request."""
        stream: WatchedStream | None = getattr(self._used, "stream", None)
        return stream is not None and stream.at_end

    def stop(self) -> None:
        """Wakes every thread that waits for the peer; these and later ones get StoppedError."""
        with self._lock:
            self.stopped = True
            streams = list(self._streams)
        for stream in streams:
            stream.shut()


class WatchedStream:
    """One connection. A request begins with its first write after a read."""

    def __init__(self, inner: httpcore.NetworkStream, line: Line) -> None:
        self._inner = inner
        self._line = line
        self._head: int | None = 0  # bytes of the answer's head so far; None in its body
        self._window = line.window
        self._deadline = math.inf  # of the answer, on the monotonic clock
        self._flow: Callable[[float], object] | None = None
        self._waited = 0.0  # seconds of waiting in the current window
        self._got = 0  # bytes received in the current window
        self.at_end = False
        line.add(self)

    def body_begins(self) -> None:
        """Marks the end of an answer's head."""
        self._head = None

    def flows(self, seconds: float, flow: Callable[[float], object]) -> None:
        """Declares the body large: it has no deadline, but a minimum rate.

        Args:
            seconds: Longest window over which the rate is measured.
            flow: As in `Line.begin`.
        """
        self._deadline = math.inf
        self._window = max(min(self._line.window, seconds), _LEAST_SECONDS)
        self._flow = flow

    def ends(self, seconds: float) -> None:
        """Sets a deadline for the end of the body, in seconds from now."""
        self._deadline = time.monotonic() + seconds

    def read(self) -> bytes:
        """Reads some bytes; none at the end.

        Raises:
            UnreachableError: The peer is slower than the minimum rate, or missed the deadline.
            RemoteProtocolError: The head is too large.
        """
        line = self._line
        if self._head is not None and self._head >= _MAX_HEAD_BYTES:
            raise RemoteProtocolError(
                f"{line.origin} sends a head of more than {_MAX_HEAD_BYTES} bytes"
            )
        return self._received(partial(self._inner.read, line.read_bytes), len)

    @property
    def fills(self) -> bool:
        """Whether the bytes of a body can be read to where they are needed."""
        return isinstance(self._inner, PlainStream)

    def read_into(self, view: memoryview, *, whole: bool = True) -> int:
        """Reads some bytes of a body into `view`; returns how many, 0 at the end. See `fills`.

        Args:
            view: The memory.
            whole: As of `PlainStream.read_into`.

        Raises:
            UnreachableError: As `read`.
        """
        inner = self._inner
        assert isinstance(inner, PlainStream)
        return self._received(
            partial(inner.read_into, view[: self._line.read_bytes], whole=whole), int
        )

    def _received(self, read: Callable[[float], _T], count_of: Callable[[_T], int]) -> _T:
        """Calls `read` with the seconds that it may take, until something came or the end."""
        line = self._line
        found: _T | None = None
        while found is None:
            started = time.monotonic()
            if started >= self._deadline:
                raise UnreachableError(f"{line.origin} did not answer in time")
            patience = min(self._window - self._waited, self._deadline - started)
            sharers = line.begin_waiting()
            try:
                found = read(max(patience, _LEAST_SECONDS))
            except httpcore.ReadTimeout:
                pass
            finally:
                line.end_waiting()
            waited, count = time.monotonic() - started, 0 if found is None else count_of(found)
            self._watch(waited, count)
            line.judge(count, waited, sharers)
        self.at_end = not count
        if self._head is not None:
            self._head += count
        if line.limit is not None:
            self._deadline += line.throttle(count)
        return found

    def _watch(self, waited: float, count: int) -> None:
        """Checks the peer's rate. Only waiting counts: a slow disk here is not the peer's fault."""
        line = self._line
        self._waited += waited
        self._got += count
        if self._waited < self._window:
            return
        if self._got < line.min_rate * self._waited:
            raise UnreachableError(
                f"{line.origin} is too slow: {format_size(self._got)} in {self._waited:.0f} s",
            )
        if self._flow is not None:
            self._flow(self._waited)
        self._waited, self._got = 0.0, 0

    def _watch_writing(self, waited: float, count: int) -> None:
        """Checks the rate at which the peer takes bytes."""
        line = self._line
        if waited >= self._window and count < line.min_rate * waited:
            raise UnreachableError(
                f"{line.origin} is too slow: it took {format_size(count)} in {waited:.0f} s"
            )

    def write(self, buffer: bytes) -> None:
        """Sends all of `buffer`."""
        line = self._line
        if line.stopped:
            raise StoppedError("stopped")
        if not buffer:
            return
        self._head, self._waited, self._got, self._flow = 0, 0.0, 0, None
        self._window = min(line.window, line.left)
        started = time.monotonic()
        self._inner.write(buffer, self._window)
        took = time.monotonic() - started
        self._watch_writing(took, len(buffer))
        line.sent(self, len(buffer), took + line.throttle(len(buffer)))
        self._deadline = line.deadline

    def close(self) -> None:
        """Closes the socket."""
        self._line.drop(self)
        self._inner.close()

    def shut(self) -> None:
        """Ends the connection from another thread; `close` would not wake a reader."""
        sock = self._inner.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # The method of the base class: that of SSLSocket would drop the TLS state in use.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def start_tls(self, tls: ssl.SSLContext, host: str, timeout: float) -> WatchedStream:
        """The same connection, encrypted."""
        inner = self._inner.start_tls(tls, host, min(timeout, self._line.left))
        self._line.drop(self)
        return WatchedStream(inner, self._line)

    @property
    def is_readable(self) -> bool:
        """Whether something came, or the connection ended."""
        return bool(self._inner.get_extra_info("is_readable"))


def connect(
    line: Line, host: str, port: int, timeout: float, egress: Egress | None
) -> WatchedStream:
    """Connects to the first address that answers. The addresses share the time limit.

    Args:
        line: Watches the connection.
        host: The host.
        port: Its port.
        timeout: Seconds for the connection.
        egress: Decides which addresses may be connected to; None for all.

    Raises:
        httpcore.ConnectError, httpcore.ConnectTimeout: None answers.
        DeniedError: `egress` forbids an address.
        StoppedError: The line was stopped.
    """
    if line.stopped:
        raise StoppedError("stopped")
    deadline = time.monotonic() + min(timeout, line.left)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(error) from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for number, address in enumerate(addresses):
        if egress is not None:
            egress(host, address, port)
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        try:
            inner = httpcore.SyncBackend().connect_tcp(address, port, max(share, _LEAST_SECONDS))
            return WatchedStream(PlainStream(inner), line)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if number == len(addresses) - 1:
                raise
    raise httpcore.ConnectError(f"{host} has no address")
