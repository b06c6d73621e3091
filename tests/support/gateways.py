"""What may stand between a client and a server: lines that break, and proxies that refuse."""

from __future__ import annotations

import http.client
import http.server
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["breaking_line", "limiting_proxy"]

_FAR: Final = 1 << 60


@contextmanager
def breaking_line(port: int, up: int, down: int = _FAR) -> Iterator[str]:
    """A relay to a local port that resets each connection after `up` bytes to it; its URL.

    The same happens after `down` bytes from it.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=_pump, args=(near, far, up), daemon=True).start()
                threading.Thread(target=_pump, args=(far, near, down), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _pump(source: socket.socket, target: socket.socket, room: int) -> None:
    with suppress(OSError):
        while room > 0 and (data := source.recv(min(65536, room))):
            target.sendall(data)
            room -= len(data)
    for each in (source, target):
        with suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def limiting_proxy(port: int, most: int) -> Iterator[str]:
    """A reverse proxy for a local port that answers 413 to bodies of more than `most` bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            if length > most:
                self.send_response(413)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = http.client.HTTPConnection("127.0.0.1", port)
            headers = {key: value for key, value in self.headers.items() if key != "Host"}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            upstream.close()

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
