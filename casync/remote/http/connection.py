"""Connections that can be trusted to end: counted, watched and limited at the socket.

httpcore reads a head or a body for as long as single bytes arrive; its timeouts see one `recv` at
a time. What bounds a peer therefore sits below it, in the streams that it reads from: a minimum
rate over a window of waiting, a cap on the bytes of a head (so that `100 Continue` for ever ends),
a cap on the rate, and a switch that wakes whoever waits. Only `remote.transport` uses this module;
the two are all that know httpcore.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import httpcore

from casync.errors import RemoteProtocolError, StoppedError, UnreachableError
from casync.limits import KIB, MIB
from casync.store.base import Traffic

__all__ = ["Backend", "Line", "RateLimit", "WatchedStream"]

_READ_BYTES: Final = 512 * KIB
"""Bytes asked from the socket at once. What comes together is decoded together, and each read
takes the interpreter from other threads."""

_WRITE_BYTES: Final = 256 * KIB
"""Bytes of a body handed to the socket at once, and looked at as one step of its rate."""

_MAX_HEAD_BYTES: Final = 128 * KIB
"""Bytes that may come before an answer's body. h11 allows 100 KiB for one block of fields."""

_LIMIT_PIECES: Final = 8
"""Reads a second under a rate limit: few large ones would come in bursts."""


_LEAST_SECONDS: Final = 0.001
"""Of a timeout: 0 would mean not to wait at all."""

_FAST_RATE: Final = 150_000_000
"""Bytes a second from which on plain chunks arrive sooner than deltas of them are made."""

_DOUBTED_BYTES: Final = 256 * KIB
"""So much must come fast before a link is called so."""

_JUDGED_BYTES: Final = 16 * MIB
"""Bytes after which what came before counts half."""


class RateLimit:
    """Bytes a second for everybody who shares it: a bucket without a reserve.

    Args:
        rate: Bytes a second, both ways together.
        clock: Seconds, rising.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        rate: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    @property
    def piece_bytes(self) -> int:
        """Bytes to move at once so that the rate is even."""
        return max(self.rate // _LIMIT_PIECES, KIB)

    def take(self, count: int) -> None:
        """Waits until `count` bytes, which were moved already, are paid for."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.rate
            wait = self._free_at - now
        self._sleep(wait)


class Line:
    """What all connections to one server share: counts, bounds and the switch.

    Args:
        origin: What errors call the server.
        min_rate: Bytes a second that it must send while we wait for it.
        window: Seconds of waiting over which that is measured.
        limit: The most that may flow, if there is a most.
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
        self._fast_bytes = 0
        self._slow_bytes = _DOUBTED_BYTES
        self._waiting = 0
        self._streams: set[WatchedStream] = set()
        self._used = threading.local()

    @property
    def traffic(self) -> Traffic:
        """All traffic so far, heads included; of TLS the bytes inside."""
        return self._traffic

    def count(self, more: Traffic) -> None:
        """Adds to the traffic."""
        with self._lock:
            self._traffic += more

    @property
    def is_fast(self) -> bool:
        """Whether most of what came lately came at `_FAST_RATE`, or faster than we took it."""
        return self._fast_bytes > self._slow_bytes and self.limit is None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[int]:
        """A stream waits for bytes in here. Gives how many do now, itself included."""
        with self._lock:
            self._waiting += 1
            sharers = self._waiting
        try:
            yield sharers
        finally:
            with self._lock:
                self._waiting -= 1

    def judge(self, count: int, waited: float, sharers: int) -> None:
        """Takes note of how long we waited for some bytes, while so many streams did.

        Most bytes decide and not the mean: a server that thinks between bursts is no slow link.
        Nor is one that gives each of several streams its share.
        """
        with self._lock:
            if waited * _FAST_RATE <= count * sharers:
                self._fast_bytes += count
            else:
                self._slow_bytes += count
            if self._fast_bytes + self._slow_bytes > _JUDGED_BYTES:
                self._fast_bytes //= 2
                self._slow_bytes //= 2

    def throttle(self, count: int) -> float:
        """Waits until so many bytes are paid for; returns the seconds that it took."""
        if self.limit is None:
            return 0.0
        started = time.monotonic()
        self.limit.take(count)
        return time.monotonic() - started

    def add(self, stream: WatchedStream) -> None:
        """A stream was opened."""
        with self._lock:
            self.connected = True
            self._streams.add(stream)

    def drop(self, stream: WatchedStream) -> None:
        """A stream was closed."""
        with self._lock:
            self._streams.discard(stream)

    def begin(self, seconds: float, flow: Callable[[float], object]) -> None:
        """A request of this thread begins.

        Args:
            seconds: For connecting, sending and the answer's head together, and for the body of a
                small answer. Time in which a body goes out at a fair rate is added.
            flow: Is told how long something large was on its way at such a rate.
        """
        self._used.stream = None
        self._used.deadline = time.monotonic() + seconds
        self._used.flow = flow

    @property
    def deadline(self) -> float:
        """When this thread's request must be answered, by the monotonic clock."""
        return float(getattr(self._used, "deadline", math.inf))

    @property
    def left(self) -> float:
        """Seconds until then; never 0, which sockets take for not at all."""
        return max(self.deadline - time.monotonic(), _LEAST_SECONDS)

    def sent(self, stream: WatchedStream, seconds: float) -> None:
        """This thread's request went out on a stream, the last piece within so many seconds."""
        self._used.stream = stream
        self._used.deadline = self.deadline + seconds
        self._used.flow(seconds)

    def broke_off(self) -> bool:
        """Whether the peer closed the connection that this thread's request went out on."""
        stream: WatchedStream | None = getattr(self._used, "stream", None)
        return stream is not None and stream.at_end

    def stop(self) -> None:
        """Wakes every thread that waits for the peer; they get StoppedError. For good."""
        with self._lock:
            self.stopped = True
            streams = list(self._streams)
        for stream in streams:
            stream.shut()


class WatchedStream(httpcore.NetworkStream):
    """One connection. A request begins with its first write after a read."""

    def __init__(self, inner: httpcore.NetworkStream, line: Line) -> None:
        self._inner = inner
        self._line = line
        self._head: int | None = 0  # bytes of the answer's head so far; None within its body
        self._window = line.window
        self._deadline = math.inf  # of the answer, by the monotonic clock
        self._flow: Callable[[float], object] | None = None
        self._waited = 0.0  # seconds of the window
        self._got = 0  # bytes within the window
        self.at_end = False
        line.add(self)

    def body_begins(self) -> None:
        """The head of an answer has been read."""
        self._head = None

    def flows(self, seconds: float, flow: Callable[[float], object]) -> None:
        """The body is large: it has no deadline, and goes on while its rate is fair.

        Args:
            seconds: How long may pass without a fair rate.
            flow: As in `Line.begin`.
        """
        self._deadline = math.inf
        self._window = max(min(self._line.window, seconds), _LEAST_SECONDS)
        self._flow = flow

    def ends(self, seconds: float) -> None:
        """The body must end within so many seconds."""
        self._deadline = time.monotonic() + seconds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, or none at the end.

        Raises:
            UnreachableError: The peer is slower than the minimum rate, or over its time.
            RemoteProtocolError: The head is endless.
        """
        line = self._line
        if self._head is not None and self._head >= _MAX_HEAD_BYTES:
            raise RemoteProtocolError(
                f"{line.origin} sends a head of more than {_MAX_HEAD_BYTES} bytes"
            )
        data: bytes | None = None
        while data is None:
            started = time.monotonic()
            if started >= self._deadline:
                raise UnreachableError(f"{line.origin} did not answer in time")
            patience = min(self._window - self._waited, self._deadline - started)
            with line.waiting() as sharers, contextlib.suppress(httpcore.ReadTimeout):
                data = self._inner.read(line.read_bytes, max(patience, _LEAST_SECONDS))
            waited, count = time.monotonic() - started, len(data or b"")
            self._watch(waited, count)
            line.judge(count, waited, sharers)
        self.at_end = not data
        if self._head is not None:
            self._head += len(data)
        line.count(Traffic(0, 0, len(data)))
        self._deadline += line.throttle(len(data))
        return data

    def _watch(self, waited: float, count: int) -> None:
        """Judges by the time that we waited: a slow disk of ours is not the peer's fault."""
        line = self._line
        self._waited += waited
        self._got += count
        if self._waited < self._window:
            return
        if self._got < line.min_rate * self._waited:
            raise UnreachableError(
                f"{line.origin} is too slow: {self._got} bytes in {self._waited:.0f} s",
            )
        if self._flow is not None:
            self._flow(self._waited)
        self._waited, self._got = 0.0, 0

    def _watch_writing(self, waited: float, count: int) -> None:
        """The same for what the peer takes."""
        line = self._line
        if waited >= self._window and count < line.min_rate * waited:
            raise UnreachableError(
                f"{line.origin} is too slow: it took {count} bytes in {waited:.0f} s"
            )

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends all of `buffer`."""
        line = self._line
        if line.stopped:
            raise StoppedError("stopped")
        self._head, self._waited, self._got, self._flow = 0, 0.0, 0, None
        self._window = min(line.window, line.left)
        started = time.monotonic()
        self._inner.write(buffer, self._window)
        took = time.monotonic() - started
        self._watch_writing(took, len(buffer))
        line.count(Traffic(0, len(buffer), 0))
        line.sent(self, took + line.throttle(len(buffer)))
        self._deadline = line.deadline

    def close(self) -> None:
        """Closes the socket."""
        self._line.drop(self)
        self._inner.close()

    def shut(self) -> None:
        """Ends the connection from another thread, which `close` could not do."""
        sock = self._inner.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # The base class's: the one of an SSLSocket would take its state from the reader.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        patience = min(timeout or math.inf, self._line.left)
        inner = self._inner.start_tls(ssl_context, server_hostname, patience)
        self._line.drop(self)
        return WatchedStream(inner, self._line)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore wants to know of the socket."""
        return self._inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Opens watched connections."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects to the first address that answers; all of them share the time."""
        if self._line.stopped:
            raise StoppedError("stopped")
        deadline = time.monotonic() + min(timeout or math.inf, self._line.left)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(error) from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for number, address in enumerate(addresses):
            share = (deadline - time.monotonic()) / (len(addresses) - number)
            try:
                inner = self._inner.connect_tcp(
                    address, port, max(share, _LEAST_SECONDS), local_address, socket_options
                )
                return WatchedStream(inner, self._line)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")
