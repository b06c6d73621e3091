"""Plain connections: the kernel's timeouts, whole writes, and errors as httpcore's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpcore
import pytest

from casync.remote.http.plain_stream import PlainStream


@pytest.fixture
def ends() -> Iterator[tuple[PlainStream, socket.socket]]:
    """A stream and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        inner = httpcore.SyncBackend().connect_tcp(host, port, 10.0)
        peer, _ = server.accept()
    stream = PlainStream(inner)
    yield stream, peer
    stream.close()
    peer.close()


def test_bytes_go_both_ways(ends: tuple[PlainStream, socket.socket]) -> None:
    stream, peer = ends
    stream.write(b"ping", 10.0)
    assert peer.recv(10) == b"ping"
    peer.sendall(b"pong")
    assert stream.read(10, 10.0) == b"pong"
    peer.close()
    assert stream.read(10, 10.0) == b""


@pytest.mark.parametrize("timeout", [0.01, 0.0])
def test_a_read_ends_when_its_time_is_over(
    ends: tuple[PlainStream, socket.socket], timeout: float
) -> None:
    stream, peer = ends
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(10, timeout)
    peer.sendall(b"late")
    assert stream.read(10, 10.0) == b"late"


def test_a_write_ends_when_its_time_is_over(ends: tuple[PlainStream, socket.socket]) -> None:
    stream, _ = ends
    begun = time.monotonic()
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(bytes(64_000_000), 0.2)
    assert time.monotonic() - begun >= 0.2


def test_a_long_write_goes_out_whole(ends: tuple[PlainStream, socket.socket]) -> None:
    stream, peer = ends
    data = bytes(range(256)) * 40_000
    thread = threading.Thread(target=stream.write, args=(data, 60.0))
    thread.start()
    found = b""
    while len(found) < len(data):
        found += peer.recv(1 << 20)
    thread.join()
    assert found == data


def test_it_tells_whether_something_came(ends: tuple[PlainStream, socket.socket]) -> None:
    stream, peer = ends
    assert stream.get_extra_info("is_readable") is False
    peer.close()
    assert stream.read(1, 10.0) == b""
    assert stream.get_extra_info("is_readable") is True


def test_a_shutdown_wakes_a_reader(ends: tuple[PlainStream, socket.socket]) -> None:
    stream, _ = ends
    found: list[bytes] = []

    def read() -> None:
        while not found:
            with suppress(httpcore.ReadTimeout):
                found.append(stream.read(10, 60.0))

    thread = threading.Thread(target=read)
    thread.start()
    while not stream._limits:
        time.sleep(0.001)
    stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    thread.join()
    assert found == [b""]


def test_a_broken_connection_is_an_error_of_httpcore(
    ends: tuple[PlainStream, socket.socket],
) -> None:
    stream, _ = ends
    stream.close()
    with pytest.raises(httpcore.ReadError):
        stream.read(10, 1.0)
    with pytest.raises(httpcore.WriteError):
        stream.write(b"x", 1.0)
