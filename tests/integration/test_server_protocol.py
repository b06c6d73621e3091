"""A real server against clients that are slow, greedy or malformed, over raw sockets."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.documents import Problem, decode_document
from casync.frames import IDS_TYPE, MAX_IDS_BYTES, encode_ids
from casync.ids import Kind, chunk_id
from casync.store.lmdb import LmdbStore
from tests.serving import Server, put_file, read_answer, serving

SIZE = 24 * 1024 * 1024
"""Bytes of the large file: more than the sockets between client and server can hold."""

QUICK = {
    "header_seconds": 0.6,
    "idle_seconds": 0.6,
    "stall_seconds": 0.6,
    "tick_seconds": 0.05,
    "linger_seconds": 0.5,
    "rate": 65536,
    "address_connections": 100,
}
"""Limits that a test can wait for."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "store"
    with LmdbStore.open(path, create=True, map_bytes=2**30) as store:
        put_file(store, os.urandom(SIZE), name="large", size=65536)
        put_file(store, b"small", name="small")
    return path


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    with serving(store, QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def patient(store: Path) -> Iterator[Server]:
    """A server with the limits that people get."""
    with serving(store) as server:
        yield server


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


# -- Slow clients ---------------------------------------------------------------------------------


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


def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    with server.connect() as sock:
        assert closes_within(sock, 10) == b""


def test_half_a_head_gets_408(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert closes_within(sock, 10).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_trickles_gets_408(server: Server) -> None:
    with server.connect() as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.settimeout(0.05)
        data = b""
        for _ in range(200):
            sock.sendall(b"\r\n")
            with contextlib.suppress(TimeoutError):
                data += sock.recv(65536)
                break
    assert data.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_gets_408(server: Server) -> None:
    server.mark()
    with server.connect() as sock:
        sock.sendall(fetch(server)[:-20])
        assert closes_within(sock, 10).startswith(b"HTTP/1.1 408 ")
    assert "too slowly" in server.wait_for(" 408 ")


def test_an_idle_connection_is_closed_after_its_answer(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(request(server, "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"))
        assert read_answer(sock)[0] == 200
        assert closes_within(sock, 10) == b""


def test_a_client_that_does_not_read_is_dropped(server: Server) -> None:
    server.mark()
    with server.connect() as sock:
        sock.sendall(request(server, "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n"))
        server.wait_for("took the answer too slowly")
        assert "went away" in server.wait_for("GET /v1/files/large")
    healthy(server)


def test_a_client_that_closes_late_and_reads_nothing_is_dropped(server: Server) -> None:
    server.mark()
    text = "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(request(server, text))
        server.wait_for("took the answer too slowly")


def test_health_is_answered_while_slow_clients_hang(patient: Server) -> None:
    socks = []
    try:
        for number in range(50):
            sock = patient.connect()
            socks.append(sock)
            if number % 3 == 0:
                sock.sendall(b"GET /healthz HTTP/1.1\r\n")
            elif number % 3 == 1:
                sock.sendall(fetch(patient)[:-5])
            else:
                text = "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n"
                sock.sendall(request(patient, text))
        for _ in range(20):
            healthy(patient)
    finally:
        for sock in socks:
            sock.close()


# -- Bounds ---------------------------------------------------------------------------------------


def test_a_head_is_bounded_in_bytes(server: Server) -> None:
    start = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n"
    refused(server, request(server, f"{start}X: {'a' * 40_000}\r\n\r\n"), 431)
    refused(server, request(server, f"GET /{'a' * 40_000} HTTP/1.1\r\nHost: HOST\r\n\r\n"), 431)
    query = f"GET /v1/names?prefix={'a' * 40_000} HTTP/1.1\r\nHost: HOST\r\n\r\n"
    refused(server, request(server, query), 431)
    refused(server, b"\r\n" * 20_000, 431)
    fits = request(server, f"{start}X: {'a' * 30_000}\r\n\r\n")
    assert send(server, fits)[0] == 200


def test_a_flood_of_header_bytes_is_cut_off(server: Server) -> None:
    with server.connect() as sock:
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"GET / HTTP/1.1\r\nX: ")
            while sent < 256 * 1024 * 1024:
                sent += sock.send(b"a" * 65536)
    assert sent < 64 * 1024 * 1024
    healthy(server)


def test_fields_are_counted(server: Server) -> None:
    start = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n"
    assert send(server, request(server, start + "X: y\r\n" * 99 + "\r\n"))[0] == 200
    refused(server, request(server, start + "X: y\r\n" * 100 + "\r\n"), 431)


def test_bodies_are_bounded(server: Server) -> None:
    refused(server, fetch(server, fields="Content-Length: 65537", body=b""), 413)
    refused(server, fetch(server, fields=f"Content-Length: {10**18}", body=b""), 413)
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    chunked = fetch(server, fields="Transfer-Encoding: chunked", body=chunk * 3)
    with server.connect() as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(chunked)
        assert read_answer(sock)[0] == 413
    too_long = fetch(server, body=bytes(MAX_IDS_BYTES + 1))
    assert send(server, too_long)[0] == 413


def test_a_chunked_body_is_fine(server: Server) -> None:
    body = encode_ids(Kind.CHUNK, [chunk_id(b"x")])
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    status, _, answer = send(
        server, fetch(server, fields="Transfer-Encoding: chunked", body=chunks)
    )
    assert (status, answer) == (200, b"\xff" * 16)


def test_connections_of_one_address_are_bounded(store: Path) -> None:
    with serving(store, {"address_connections": 5, "linger_seconds": 0.2}) as server:
        socks = [server.connect() for _ in range(5)]
        try:
            for sock in socks:
                sock.sendall(request(server, "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"))
                assert read_answer(sock)[0] == 200
            with server.connect() as sock:
                status, fields, body = read_answer(sock)
                assert (status, fields["retry-after"]) == (503, "2")
                assert decode_document(body, Problem).code == "unreachable"
        finally:
            for sock in socks:
                sock.close()
        deadline = time.monotonic() + 10
        while True:
            with server.connect() as sock:
                sock.sendall(request(server, "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"))
                if read_answer(sock)[0] == 200:
                    break
            assert time.monotonic() < deadline


# -- Messages that parsers read differently -------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 5", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("Content-Length: 5\r\n X: folded", 400),
        ("X: a\x00b\r\nContent-Length: 5", 400),
        ("X\x00: ab\r\nContent-Length: 5", 400),
        ("X: a\rContent-Length: 5", 400),
    ],
)
def test_smuggling_is_refused(server: Server, fields: str, status: int) -> None:
    with server.connect() as sock:
        sock.sendall(fetch(server, fields=fields, body=b"0\r\n\r\nGET /v1/info HTTP/1.1\r\n\r\n"))
        sock.settimeout(10)
        data = closes_within(sock, 10)
    assert data.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 ")), data
    assert data.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body",
    [b"g\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"5 \nabcde"],
)
def test_bad_chunks_are_refused(server: Server, body: bytes) -> None:
    status, _, _ = send(server, fetch(server, fields="Transfer-Encoding: chunked", body=body))
    assert status in (400, 413)
    healthy(server)


def test_trailers_are_refused(server: Server) -> None:
    body = b"1\r\nx\r\n0\r\nHost: evil\r\n\r\n"
    assert send(server, fetch(server, fields="Transfer-Encoding: chunked", body=body))[0] == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://127.0.0.1/v1/info HTTP/1.1", 400),
        ("GET http://evil.example/v1/info HTTP/1.1", 400),
        ("CONNECT evil.example:443 HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 400),
        ("GET /v1/info HTTP/3.0", 400),
        ("GET /v1/info", 505),
        ("BREW /v1/info HTTP/1.1", 400),
        ("GET /%ff HTTP/1.1", 400),
        ("GET /\xe9 HTTP/1.1", 400),
        ("GET /v1/objects/chunk/..%2f..%2fetc HTTP/1.1", 404),
        ("GET /v1/objects/chunk/../../etc HTTP/1.1", 404),
        ("GET /v1/names/%2e%2e/%2e%2e HTTP/1.1", 400),
        ("GET /v1/names/..\\.. HTTP/1.1", 400),
        ("GET /v1/names/a%00b HTTP/1.1", 400),
        ("GET //v1/info HTTP/1.1", 404),
        ("GET /v1/%69nfo HTTP/1.1", 200),
    ],
)
def test_targets(server: Server, line: str, status: int) -> None:
    got, _, body = send(server, request(server, f"{line}\r\nHost: HOST\r\n\r\n"))
    assert got == status, body


def test_hosts(server: Server) -> None:
    for host, status in (
        ("Host: HOST\r\n", 200),
        (f"Host: localhost:{server.port}\r\n", 200),
        ("Host: evil.example\r\n", 403),
        (f"Host: evil.example:{server.port}\r\n", 403),
        ("Host: HOST\r\nHost: HOST\r\n", 400),
        ("Host: HOST\r\nOrigin: http://evil.example\r\n", 403),
        ("", 400),
    ):
        got, _, _ = send(server, request(server, f"GET /v1/info HTTP/1.1\r\n{host}\r\n"))
        assert got == status, host


def test_upgrades_are_ignored(server: Server) -> None:
    text = "GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(request(server, text, b"GET /healthz HTTP/1.1\r\n\r\n"))
        data = closes_within(sock, 10)
    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.count(b"HTTP/1.1 ") == 1


def test_http_1_0_gets_no_chunks(server: Server) -> None:
    stat = request(server, "GET /v1/files/small HTTP/1.0\r\nHost: HOST\r\n\r\n")
    assert send(server, stat)[2] == b"small"
    body = encode_ids(Kind.CHUNK, [chunk_id(b"x")])
    old = fetch(server, body=body).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"stat", b"fetch")
    assert send(server, old)[0] == 505


# -- Pipelining -----------------------------------------------------------------------------------


def test_a_few_requests_at_once_are_answered_in_order(server: Server) -> None:
    one = "GET /v1/files/small HTTP/1.1\r\nHost: HOST\r\n{}\r\n"
    texts = [one.format(""), one.format("Range: bytes=0-1\r\n"), one.format("Range: bytes=2-\r\n")]
    with server.connect() as sock:
        sock.sendall(request(server, "".join(texts)))
        data = closes_within(sock, 10)
    assert [part[-5:] for part in data.split(b"HTTP/1.1 ")[1:]] == [
        b"small",
        b"\r\n\r\nsm"[-5:],
        b"\nmall"[-5:],
    ] or (data.index(b"small") < data.index(b"bytes 0-1/5") < data.index(b"bytes 2-4/5"))
    assert data.count(b"HTTP/1.1 ") == 3


def test_requests_behind_a_long_answer_wait(server: Server) -> None:
    large = "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n"
    small = "GET /v1/files/small HTTP/1.1\r\nHost: HOST\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(request(server, large))
        sock.sendall(request(server, small * 3))
        data = closes_within(sock, 30)
    assert len(data) > SIZE
    assert data.count(b"HTTP/1.1 200 OK") == 4
    assert data.endswith(b"small")


def test_a_flood_of_requests_takes_no_memory(server: Server) -> None:
    (worker,) = server.workers()
    before = anonymous_memory(worker)
    one = request(server, "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n")
    with server.connect() as sock:
        sock.settimeout(1)
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            for _ in range(300_000):
                sock.sendall(one)
        assert anonymous_memory(worker) - before < 64 * 1024 * 1024
    healthy(server)


def anonymous_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def test_garbage_behind_a_request_never_lands_in_its_answer(server: Server) -> None:
    for garbage in (b"\x00\x01\x02garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with server.connect() as sock:
            text = "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n"
            sock.sendall(request(server, text))
            head = sock.recv(10)
            sock.sendall(garbage)
            data = head + closes_within(sock, 30)
        body = data.partition(b"\r\n\r\n")[2]
        assert b"HTTP/1.1 400" not in body[:SIZE]
        assert len(body) >= SIZE
        with server.connect() as sock:
            sock.sendall(request(server, text, garbage))
            data = closes_within(sock, 30)
        assert data == b"" or b"HTTP/1.1 400" not in data
    healthy(server)
