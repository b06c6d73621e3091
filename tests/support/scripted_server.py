"""A web server that answers each request with the bytes that a test chose, true or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self


class Asked(NamedTuple):
    """A request as it arrived: the target byte by byte, fields by lower-case names."""

    method: str
    target: str
    fields: dict[str, str]

    @property
    def range(self) -> tuple[int, int | None] | None:
        """The range that it asks for: first byte, and the one after the last."""
        text = self.fields.get("range")
        if text is None:
            return None
        first, _, last = text.removeprefix("bytes=").partition("-")
        return int(first), int(last) + 1 if last else None


def reply(status: int, body: bytes = b"", **fields: str) -> bytes:
    """An answer. Underscores in names of fields stand for hyphens; None leaves a field out."""
    found = {"Content-Length": str(len(body)), "Connection": "close"}
    found |= {name.replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in found.items() if value != "-")
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode("latin-1") + body


class ScriptedServer:
    """Answers on loopback until the context is left.

    Args:
        script: Returns the answer to a request, whole or in pieces; the connection closes after it.
        tls: Encrypts connections.
    """

    def __init__(
        self,
        script: Callable[[Asked], bytes | Iterator[bytes]],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(plain)
            sock = plain
            if self._tls is not None:
                sock = stack.enter_context(self._tls.wrap_socket(plain, server_side=True))
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(65536)
                if not data:
                    return
                head += data
            first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
            method, target, _ = first.split(" ")
            pairs = (line.partition(":") for line in lines)
            asked = Asked(method, target, {name.lower(): text.strip() for name, _, text in pairs})
            self.asked.append(asked)
            answer = self.script(asked)
            for piece in [answer] if isinstance(answer, bytes) else answer:
                sock.sendall(piece)
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_WR)
