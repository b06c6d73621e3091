"""Clients on raw sockets, and a server with limits that a test can wait for."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

from casync.ids import Kind, chunk_id
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import Problem, decode_document
from casync.wire.requests import IDS_TYPE, encode_ids
from tests.support.serving import Server, put_file, read_answer

SIZE = 24 * 1024 * 1024
"""Bytes of the large file: more than the sockets between client and server can hold."""

QUICK = {
    "header_seconds": 3.0,
    "idle_seconds": 3.0,
    "stall_seconds": 3.0,
    "tick_seconds": 0.05,
    "linger_seconds": 0.5,
    "rate": 65536,
    "address_connections": 100,
}
"""Limits that a test can wait for, and that a busy machine does not reach by itself."""


def make_store(path: Path) -> None:
    """A store with a file that no socket can hold, and a small one."""
    with LmdbStore.open(path, create=True, map_bytes=2**30) as store:
        put_file(store, os.urandom(SIZE), name="large", size=65536)
        put_file(store, b"small", name="small")


def request(server: Server, text: str, body: bytes = b"") -> bytes:
    """A request in bytes; HOST stands for the server."""
    return text.replace("HOST", f"127.0.0.1:{server.port}").encode("latin-1") + body


def send(server: Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends `data` on a connection of its own and reads the answer."""
    with server.connect() as sock:
        sock.sendall(data)
        return read_answer(sock)


def refused(server: Server, data: bytes, status: int) -> None:
    """`data` gets a problem with `status`, and the connection is closed."""
    with server.connect() as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(data)
    with server.connect() as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)
        got, fields, body = read_answer(sock)
        assert got == status, (got, body)
        assert fields["connection"] == "close"
        assert decode_document(body, Problem).status == status
        assert sock.recv(1) == b""
    healthy(server)


def healthy(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(request(server, "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"))
        assert read_answer(sock)[0] == 200


def fetch(server: Server, *, fields: str = "", body: bytes | None = None) -> bytes:
    body = encode_ids(Kind.CHUNK, [chunk_id(b"x")]) if body is None else body
    return request(
        server,
        f"POST /v1/objects/stat HTTP/1.1\r\nHost: HOST\r\nContent-Type: {IDS_TYPE}\r\n"
        f"{fields or f'Content-Length: {len(body)}'}\r\n\r\n",
        body,
    )


def closes_within(sock: socket.socket, seconds: float) -> bytes:
    """What comes until the server closes, which it must do in time."""
    started = time.monotonic()
    sock.settimeout(30)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 20):
            data += part
    assert time.monotonic() - started < seconds
    return data
