"""Servers of tests that are handlers of http.server, each on a port of its own."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator

__all__ = ["handling"]


@contextlib.contextmanager
def handling(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server whose requests a handler answers, in threads; its port on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
