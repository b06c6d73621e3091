"""A real server against clients that are slow, greedy or malformed, over raw sockets."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.ids import Kind, chunk_id
from casync.wire.documents import Problem, decode_document
from casync.wire.requests import MAX_IDS_BYTES, encode_ids
from tests.support.server_clients import (
    QUICK,
    closes_within,
    fetch,
    healthy,
    make_store,
    refused,
    request,
    send,
)
from tests.support.serving import Server, read_answer, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "store"
    make_store(path)
    return path


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    with serving(store, QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def patient(store: Path) -> Iterator[Server]:
    """A server with the default limits."""
    with serving(store) as server:
        yield server


# -- Slow clients ---------------------------------------------------------------------------------


def test_a_silent_connection_is_closed(server: Server) -> None:
    with server.connect() as sock:
        assert closes_within(sock, 60) == b""


def test_half_a_head_gets_408(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert closes_within(sock, 60).startswith(b"HTTP/1.1 408 ")


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
        assert closes_within(sock, 60).startswith(b"HTTP/1.1 408 ")
    assert " 408 " in server.wait_for("the body of the request came too slowly")


def test_an_idle_connection_is_closed_after_its_answer(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(request(server, "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"))
        assert read_answer(sock)[0] == 200
        assert closes_within(sock, 60) == b""


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
    refused(server, fetch(server, fields="Content-Length: 196609", body=b""), 413)
    refused(server, fetch(server, fields=f"Content-Length: {10**18}", body=b""), 413)
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    chunked = fetch(server, fields="Transfer-Encoding: chunked", body=chunk * 7)
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


def test_only_a_few_refused_connections_linger_at_a_time(store: Path) -> None:
    settings = {"address_connections": 1, "linger_seconds": 1000.0, "header_seconds": 1000.0}
    with serving(store, settings) as server, contextlib.ExitStack() as stack:
        stack.enter_context(server.connect())
        statuses = [read_answer(stack.enter_context(server.connect()))[0] for _ in range(70)]
        assert statuses == [503] * 64 + [0] * 6


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
        data = closes_within(sock, 60)
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
        data = closes_within(sock, 60)
    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.count(b"HTTP/1.1 ") == 1


def test_http_1_0_gets_no_chunks(server: Server) -> None:
    stat = request(server, "GET /v1/files/small HTTP/1.0\r\nHost: HOST\r\n\r\n")
    assert send(server, stat)[2] == b"small"
    body = encode_ids(Kind.CHUNK, [chunk_id(b"x")])
    old = fetch(server, body=body).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"stat", b"fetch")
    assert send(server, old)[0] == 505
