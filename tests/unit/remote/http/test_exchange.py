"""One kept connection: plain answers and others, read alike, and when it is used again."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpcore
import pytest

from casync.remote.http.address import parse_address
from casync.remote.http.connection import Line
from casync.remote.http.exchange import HttpExchange
from casync.remote.http.route import make_route
from casync.remote.http.unmodified import read_unmodified

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nhello"
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN
BARE = b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
NAMELESS = b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello"
TWICE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"


class Peer:
    """Answers each request of each connection with the next bytes, or closes without any."""

    def __init__(self, answers: list[bytes | None], piece: int) -> None:
        self._answers = iter(answers)
        self._piece = piece
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.sent = threading.Event()  # a whole answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(ConnectionError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while b"\r\n\r\n" in connection.recv(65536):
                    answer = next(self._answers, None)
                    if answer is None:
                        break
                    for start in range(0, len(answer), self._piece):
                        connection.sendall(answer[start : start + self._piece])
                    self.sent.set()
                    if answer.startswith(b"HTTP/1.0"):
                        break

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def exchange(*answers: bytes | None, piece: int = 1 << 20) -> Iterator[tuple[HttpExchange, Peer]]:
    peer = Peer(list(answers), piece)
    line = Line(peer.address, min_rate=1.0, window=30.0, limit=None)
    line.begin(math.inf, lambda _: None)
    route = make_route(
        parse_address(peer.address),
        proxy=None,
        proxy_auth="",
        ca=None,
        egress=None,
        connect_seconds=10.0,
    )
    found = HttpExchange(route, line, lambda _: None)
    try:
        yield found, peer
    finally:
        found.close()
        peer.close()


def ask(channel: HttpExchange, method: str = "GET") -> tuple[int, bytes]:
    answer = channel.send(method, b"/x", [(b"host", b"x")], b"")
    try:
        return answer.status, b"".join(answer.body())
    finally:
        answer.close()


@pytest.mark.parametrize("piece", [1 << 20, 7, 1])
@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, OLD, HINTED, BARE, NAMELESS])
def test_an_answer_is_the_same_whole_split_and_byte_by_byte(answer: bytes, piece: int) -> None:
    with exchange(answer, piece=piece) as (channel, _):
        assert ask(channel) == (200, b"hello")


def test_fields_are_lower_case_and_trimmed() -> None:
    with exchange(PLAIN) as (channel, _):
        answer = channel.send("GET", b"/x", [(b"host", b"x")], b"")
        assert list(answer.headers) == [(b"content-length", b"5"), (b"x-a", b"b")]
        answer.close()


@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_a_connection_is_kept_for_the_next_request(piece: int) -> None:
    with exchange(PLAIN, CHUNKED, PLAIN, piece=piece) as (channel, peer):
        assert [ask(channel) for _ in range(3)] == [(200, b"hello")] * 3
        assert peer.connections == 1


def test_an_answer_to_head_has_no_body() -> None:
    head = PLAIN.removesuffix(b"hello")
    with exchange(head, head) as (channel, peer):
        assert [ask(channel, "HEAD") for _ in range(2)] == [(200, b"")] * 2
        assert peer.connections == 1


@pytest.mark.parametrize(
    "answer", [PLAIN + b"more", PLAIN.replace(b"X-A: b", b"Connection: close"), OLD]
)
def test_a_connection_that_may_hold_something_else_is_not_kept(answer: bytes) -> None:
    with exchange(answer, PLAIN) as (channel, peer):
        assert [ask(channel) for _ in range(2)] == [(200, b"hello")] * 2
        assert peer.connections == 2


def test_a_connection_is_not_kept_if_more_follows_a_body_that_was_read_in_place() -> None:
    long = PLAIN.replace(b"5", b"2000000") + bytes(1_999_995)
    with exchange(long + b"more", PLAIN) as (channel, peer):
        answer = channel.send("GET", b"/x", [(b"host", b"x")], b"")
        answer.stream.body_begins()
        left, room = 1_999_999, memoryview(bytearray(70_000))
        while left:
            left -= answer.read_into(room[: min(left, len(room))])
        assert peer.sent.wait(10)
        assert answer.read_into(room) == 1
        assert answer.read_into(room) == 0
        answer.close()
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 2


def test_a_body_that_is_not_read_ends_the_connection() -> None:
    with exchange(PLAIN, PLAIN) as (channel, peer):
        channel.send("GET", b"/x", [(b"host", b"x")], b"").close()
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 2


def test_a_kept_connection_that_the_server_closed_costs_no_error() -> None:
    with exchange(PLAIN, None, PLAIN) as (channel, peer):
        assert [ask(channel) for _ in range(2)] == [(200, b"hello")] * 2
        assert peer.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 6"),
        PLAIN.replace(b"X-A: b", b"X A: b"),
        TWICE,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        CHUNKED.replace(b"3\r\n", b"2\r\n"),
        CHUNKED.replace(b"3\r\n", b"5\r\n"),
        CHUNKED.replace(b"3\r\n", b"-3\r\n"),
        CHUNKED.replace(b"3\r\n", b"g\r\n"),
        CHUNKED.replace(b"3\r\n", b"3\n"),
        CHUNKED.replace(b"3\r\n", b"10000000000000003\r\n"),
        CHUNKED.replace(b"llo\r\n", b"llo"),
    ],
)
def test_nonsense_is_an_error(answer: bytes | None) -> None:
    with exchange(answer) as (channel, _), pytest.raises(httpcore.RemoteProtocolError):
        ask(channel)


def test_endless_fields_behind_a_body_are_an_error() -> None:
    endless = CHUNKED.removesuffix(b"\r\n") + b"X-A: b\r\n" * 200_000
    with exchange(endless) as (channel, _):
        answer = channel.send("GET", b"/x", [(b"host", b"x")], b"")
        answer.stream.body_begins()
        with pytest.raises(httpcore.RemoteProtocolError, match="more fields"):
            list(answer.body())
        answer.close()


def test_a_field_with_a_line_break_is_not_sent() -> None:
    with exchange(PLAIN) as (channel, _), pytest.raises(httpcore.LocalProtocolError):
        channel.send("GET", b"/x", [(b"host", b"x"), (b"a", b"b\r\nc: d")], b"")


def unmodified(etag: str, more: str = "") -> bytes:
    return f'HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: "{etag}"\r\n{more}\r\n'.encode()


def heads(channel: HttpExchange, count: int) -> list[str]:
    request = b"/x", [(b"host", b"x"), (b"if-none-match", b"y")]
    return channel.send_heads([request] * count)


@pytest.mark.parametrize("piece", [1 << 20, 7, 1])
def test_unmodified_answers_are_read_one_behind_the_other(piece: int) -> None:
    answers = b"".join(unmodified(etag) for etag in "abc")
    with exchange(answers, PLAIN, piece=piece) as (channel, peer):
        assert heads(channel, 3) == ['"a"', '"b"', '"c"']
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 1


@pytest.mark.parametrize(
    "other",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.0 304 Not Modified\r\n\r\n",
        b"hello\r\n\r\n",
    ],
)
def test_what_follows_any_other_answer_is_not_believed(other: bytes) -> None:
    with exchange(unmodified("a") + other + unmodified("c"), PLAIN) as (channel, peer):
        assert heads(channel, 3) == ['"a"']
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 2


def test_answers_that_end_early_are_those_that_came() -> None:
    last = unmodified("b", "Connection: close\r\n")
    with exchange(unmodified("a") + last, PLAIN) as (channel, peer):
        assert heads(channel, 3) == ['"a"', '"b"']
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 2


def test_fields_of_unmodified_answers_have_any_case() -> None:
    data = b'HTTP/1.1 304 Not Modified\r\neTAG:"A"\r\nCONNECTION: x, Close\r\n\r\n'
    assert read_unmodified(data, 0) == ('"A"', len(data), True)


def test_more_than_was_asked_for_ends_the_connection() -> None:
    with exchange(unmodified("a") + unmodified("b"), PLAIN) as (channel, peer):
        assert heads(channel, 1) == ['"a"']
        assert ask(channel) == (200, b"hello")
        assert peer.connections == 2


def test_an_answer_with_no_etag_or_with_two_names_none() -> None:
    bare = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    with exchange(bare + unmodified("a", 'ETag: "b"\r\n')) as (channel, _):
        assert heads(channel, 2) == ["", ""]
