"""A TCP connection whose timeouts the kernel keeps, so that a read or write is one system call.

Python's own timeouts make three of each, and each frees the interpreter for other threads and must
get it back.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from typing import Any, Final

import httpcore

__all__ = ["PlainStream"]

_TICK_SECONDS: Final = 1.0
"""The longest wait in the kernel. Callers repeat a read that timed out, until their own limit."""

_TIME: Final = struct.Struct("ll")
_MICRO: Final = 1_000_000


class PlainStream(httpcore.NetworkStream):
    """A connection without TLS.

    Args:
        inner: The connection as httpcore made it.
    """

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")
        self._socket.settimeout(None)
        self._limits: dict[int, float] = {}

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Reads some bytes; none at the end.

        Raises:
            httpcore.ReadTimeout: None came within `timeout` seconds, or a second if that is less.
            httpcore.ReadError: The connection broke.
        """
        try:
            self._limit(socket.SO_RCVTIMEO, timeout)
            return self._socket.recv(max_bytes)
        except BlockingIOError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def read_into(
        self, view: memoryview, timeout: float | None = None, *, whole: bool = True
    ) -> int:
        """Reads into `view` what comes; returns the bytes, 0 at the end.

        Args:
            view: The memory.
            timeout: Seconds.
            whole: Wait until `view` is full or the time is over. One system call does so: threads
                that wait for the interpreter after each piece would wait for those that work.

        Raises:
            httpcore.ReadTimeout, httpcore.ReadError: As `read`.
        """
        try:
            self._limit(socket.SO_RCVTIMEO, timeout)
            return self._socket.recv_into(view, flags=socket.MSG_WAITALL if whole else 0)
        except BlockingIOError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends all of `buffer`.

        Raises:
            httpcore.WriteTimeout: It did not go out within `timeout` seconds.
            httpcore.WriteError: The connection broke.
        """
        begun = time.monotonic()
        left = memoryview(buffer)
        while left:
            try:
                self._limit(socket.SO_SNDTIMEO, timeout)
                left = left[self._socket.send(left) :]
            except BlockingIOError as error:
                if timeout is not None and time.monotonic() - begun >= timeout:
                    raise httpcore.WriteTimeout(error) from error
            except OSError as error:
                raise httpcore.WriteError(error) from error

    def close(self) -> None:
        """Closes the socket."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted, with Python's timeouts."""
        return self._inner.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """Properties of the socket, for httpcore."""
        if info == "is_readable":
            found = select.poll()
            found.register(self._socket, select.POLLIN)
            return bool(found.poll(0))
        return self._inner.get_extra_info(info)

    def _limit(self, option: int, timeout: float | None) -> None:
        seconds = _TICK_SECONDS if timeout is None else min(timeout, _TICK_SECONDS)
        if self._limits.get(option) != seconds:
            micros = max(round(seconds * _MICRO), 1)  # 0 stands for no limit
            value = _TIME.pack(*divmod(micros, _MICRO))
            self._socket.setsockopt(socket.SOL_SOCKET, option, value)
            self._limits[option] = seconds
