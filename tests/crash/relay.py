"""A fixed address in front of servers that are restarted.

It behaves like a server that restarts at one address. It rewrites Host, because servers without
authentication refuse other hosts.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Final, Self

__all__ = ["Relay"]

_RESET: Final = struct.pack("ii", 1, 0)


class Relay:
    """Passes connections on to `upstream`, a port on the loopback; without one it resets them.

    Attributes:
        url: Where it listens.
        upstream: Set it at any time.
        answered: Set when a server has answered.
    """

    def __init__(self) -> None:
        self.upstream: int | None = None
        self.answered = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return
                self._threads.append(threading.Thread(target=self._connect, args=(client,)))
                self._threads[-1].start()

    def _connect(self, client: socket.socket) -> None:
        port = self.upstream
        with client:
            try:
                if port is None:
                    raise ConnectionRefusedError
                server = socket.create_connection(("127.0.0.1", port))
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            ours, theirs = self.url.removeprefix("http://"), f"127.0.0.1:{port}"
            with server:
                back = threading.Thread(target=self._pump, args=(server, client))
                back.start()
                self._pump(client, server, ours.encode(), theirs.encode())
                back.join()

    def _pump(
        self, source: socket.socket, sink: socket.socket, host: bytes = b"", new: bytes = b""
    ) -> None:
        """Passes on what comes from `source`. When one direction ends, the other one does, too."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data.replace(host, new) if host else data)
                if not host:
                    self.answered.set()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
