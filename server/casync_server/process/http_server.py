"""uvicorn's server over our listeners, for a process that handles signals itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence

import uvicorn

from casync_server.limits.connection_count import ConnectionCount
from casync_server.process.listener import Listener
from casync_server.process.protocol import BoundedProtocol

__all__ = ["HttpServer"]


class HttpServer(uvicorn.Server):
    """uvicorn's server without its listeners and its signal handling.

    uvicorn would count nothing before a TLS handshake, and end the process by the signal.

    Args:
        config: uvicorn's part of it.
        protocol: The protocol of a connection, with its limits.
        sockets: Where to listen. All connections are counted together.
        context: Encrypts connections; None for plain HTTP.

    Attributes:
        broken_off: Answers that were still under way at the end of the grace time.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        protocol: type[BoundedProtocol],
        sockets: Sequence[socket.socket],
        context: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self._sockets = sockets
        self._protocol = protocol
        self._context = context
        self._listeners: list[Listener] = []
        self.broken_off = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then accepts connections."""
        await super().startup(sockets=[])
        count = ConnectionCount(self._protocol.limits)
        for sock in self._sockets:
            listener = Listener(
                sock,
                self._make_protocol,
                count=count,
                settings=self._protocol.limits,
                context=self._context,
                log=self._protocol.log,
            )
            self._listeners.append(listener)

    def _make_protocol(self) -> BoundedProtocol:
        return self._protocol(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts no more, and gives what is under way its grace."""
        for listener in self._listeners:
            listener.close()
        grace = self.config.timeout_graceful_shutdown or 0
        # uvicorn waits a moment before it counts, and then does not say what it cancels.
        asyncio.get_running_loop().call_later(grace + 0.05, self._count)
        await super().shutdown(sockets)

    def _count(self) -> None:
        self.broken_off = len(self.server_state.tasks)
