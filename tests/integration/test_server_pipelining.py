"""Pipelined requests, and bytes after a request."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_clients import (
    QUICK,
    SIZE,
    closes_within,
    fetch,
    healthy,
    make_store,
    request,
)
from tests.support.serving import Server, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "store"
    make_store(path)
    return path


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    with serving(store, QUICK) as server:
        yield server


def test_a_few_requests_at_once_are_answered_in_order(server: Server) -> None:
    one = "GET /v1/files/small HTTP/1.1\r\nHost: HOST\r\n{}\r\n"
    texts = [one.format(""), one.format("Range: bytes=0-1\r\n"), one.format("Range: bytes=2-\r\n")]
    with server.connect() as sock:
        sock.sendall(request(server, "".join(texts)))
        data = closes_within(sock, 60)
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


def test_garbage_after_a_request_does_not_end_up_in_its_answer(server: Server) -> None:
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


def test_a_refused_second_request_does_not_end_up_in_the_first_answer(server: Server) -> None:
    large = request(server, "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n")
    for second in (fetch(server)[:-20], fetch(server, fields="Transfer-Encoding: chunked")[:-20]):
        with server.connect() as sock:
            sock.sendall(large + second)
            data = closes_within(sock, 30)
        body = data.partition(b"\r\n\r\n")[2]
        assert b"HTTP/1.1 4" not in body[:SIZE]


def test_a_disconnect_stops_the_first_of_two_requests(server: Server) -> None:
    server.mark()
    large = "GET /v1/files/large HTTP/1.1\r\nHost: HOST\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(request(server, large * 2))
        assert sock.recv(10) == b"HTTP/1.1 2"
    line = server.wait_for("went away")  # the line of the second request may come before it
    assert "GET /v1/files/large" in line
    assert int(line.partition("bytes=")[2].split()[0]) < SIZE
