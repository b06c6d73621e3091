"""Connections to many web servers."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web import connections

HOSTS = 40
KEPT = 5


class Counting(ThreadingHTTPServer):
    """Answers on all addresses of the loopback network, and counts connections that are open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Handler)
        self.lock = threading.Lock()
        self.connections = 0

    def count(self, change: int) -> None:
        with self.lock:
            self.connections += change


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def setup(self) -> None:
        super().setup()
        self.server.count(1)

    def finish(self) -> None:
        super().finish()
        self.server.count(-1)

    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_job_with_many_hosts_keeps_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open answer keeps its connection, whatever is asked for meanwhile."""
    monkeypatch.setattr(connections, "_MAX_SERVERS", KEPT)
    server = Counting()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        with Sources(SourceOptions(retry_for=0.0)) as sources:
            hosts = [f"127.0.1.{number}:{server.server_port}" for number in range(1, HOSTS)]
            source, key = sources.open(f"http://127.0.2.1:{server.server_port}/x")
            first = source.open(key)
            assert first is not None
            for host in hosts:
                source, key = sources.open(f"http://{host}/x")
                answer = source.open(key)
                assert answer is not None
                with answer:
                    assert b"".join(answer.blocks()) == host.encode()
            with first:
                assert b"".join(first.blocks()).startswith(b"127.0.2.1:")
            deadline = time.monotonic() + 30
            while server.connections > KEPT + 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.connections <= KEPT + 2
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
