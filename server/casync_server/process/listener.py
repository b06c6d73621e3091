"""Accepts connections. Each is counted before a byte of it is read, and before any TLS.

A handshake has a deadline, and a refused client is told why only if telling it costs little.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from casync_server.access.access_log import ConnectionLog
from casync_server.http.request_head import Refusal
from casync_server.limits.connection_count import ConnectionCount
from casync_server.process.protocol import BoundedProtocol
from casync_server.settings import ServerSettings

__all__ = ["Listener"]

_PAUSE_SECONDS: Final = 0.5
"""Between two attempts to accept when the system has no descriptors or memory left."""

_UNSENT_BYTES: Final = 256 * 1024
"""Bytes that the kernel holds for a client before they are sent. Bytes that are under way do not
count, so a fast line stays full."""

_TOLD_AT_ONCE: Final = 64
"""Refused clients that are told why at the same time; others are only disconnected."""


class Listener:
    """Accepts the connections of one socket.

    Args:
        sock: The socket. It listens already; the listener closes it.
        make_protocol: Makes the protocol of one connection.
        count: Counts the connections of the worker.
        settings: Limits.
        context: Encrypts connections; None for plain HTTP.
        log: Is told of refused connections and failed handshakes.
    """

    def __init__(
        self,
        sock: socket.socket,
        make_protocol: Callable[[], BoundedProtocol],
        *,
        count: ConnectionCount,
        settings: ServerSettings,
        context: ssl.SSLContext | None,
        log: ConnectionLog,
    ) -> None:
        self._sock = sock
        self._make_protocol = make_protocol
        self._count = count
        self._settings = settings
        self._context = context
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._told = 0
        self._resume: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accepts no more, and breaks off handshakes."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._opening:
            task.cancel()

    def _accept(self) -> None:
        # One at a time: other workers wait at the same socket, and get their share.
        try:
            sock, peer = self._sock.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            self._pause(error)
            return
        client = str(peer[0]) if sock.family in (socket.AF_INET, socket.AF_INET6) else None
        refusal = self._count.enter(client)
        if refusal is not None and (self._context is not None or self._told >= _TOLD_AT_ONCE):
            self._log.write(client, 0, refusal.detail)
            sock.close()
            return
        leave: Callable[[], None] = self._forget_told
        if refusal is None:
            leave = partial(self._count.leave, client)
        else:
            self._told += 1
        task = self._loop.create_task(self._open(sock, client, refusal, leave))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _forget_told(self) -> None:
        self._told -= 1

    def _pause(self, error: OSError) -> None:
        self._log.write(None, 0, f"cannot accept connections: {error.strerror}", failed=True)
        self._loop.remove_reader(self._sock)
        self._resume = self._loop.call_later(
            _PAUSE_SECONDS, self._loop.add_reader, self._sock, self._accept
        )

    async def _open(
        self,
        sock: socket.socket,
        client: str | None,
        refusal: Refusal | None,
        leave: Callable[[], None],
    ) -> None:
        """Opens a connection, with TLS if there is a context. Calls `leave` when it is over."""
        protocol = self._make_protocol()
        protocol.admit(refusal, leave)
        seconds = None if self._context is None else self._settings.header_seconds
        try:
            with suppress(OSError):  # a Unix socket has no such option
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
            await self._loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._context, ssl_handshake_timeout=seconds
            )
        except (OSError, asyncio.CancelledError) as error:
            sock.close()
            protocol.give_up()
            if isinstance(error, asyncio.CancelledError):
                raise
            self._log.write(client, 0, _why(error, seconds))


def _why(error: OSError, seconds: float | None) -> str:
    """What to log of a connection that was not opened; `seconds`: the limit of a handshake."""
    if isinstance(error, ssl.SSLError):
        return f"TLS handshake failed: {error.reason or error.strerror}"
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return f"TLS handshake took longer than {seconds:g} s"
    return "client went away during the TLS handshake"
