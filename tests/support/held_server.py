"""A web server that sends half of each object and then waits, until the test lets it go on."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator, Mapping

__all__ = ["HeldServer", "held_server"]

HOUR = 3600.0


class HeldServer:
    """Serves objects by path, with ETags and ranges.

    Attributes:
        url: Its URL.
        requests: Path and Range of each GET.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.requests: list[tuple[str, str]] = []
        self.url = ""
        self._going = threading.Event()

    def go(self) -> None:
        """Sends the rest of everything, and later objects whole."""
        self._going.set()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answers a GET."""
        data = self.objects.get(request.path.lstrip("/"))
        asked = request.headers.get("Range", "")
        self.requests.append((request.path, asked))
        if data is None:
            request.send_error(404)
            return
        start = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", asked)) else 0
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(data) - start))
        request.send_header("ETag", '"1"')
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        half = max(len(data) // 2, start)
        with contextlib.suppress(OSError):
            request.wfile.write(data[start:half])
            self._going.wait(HOUR)
            request.wfile.write(data[half:])


@contextlib.contextmanager
def held_server(objects: Mapping[str, bytes]) -> Iterator[HeldServer]:
    """Runs such a server.

    Args:
        objects: Contents by path.
    """
    held = HeldServer(objects)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever).start()
        try:
            yield held
        finally:
            held.go()
            server.shutdown()
