"""Connections whose reads end where a head does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import httpcore
import pytest

from casync.remote.http.connection import Line
from casync.remote.http.head_stream import HeadStream

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\nField: \r\n\r\n"
BODY = b"body\n\nof\r\n\r\nthe answer"


class Inner(httpcore.NetworkStream):
    """A connection that receives pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next piece."""
        return next(self.pieces, b"")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends nothing."""


def stream(*pieces: bytes) -> HeadStream:
    """A connection that waits for an answer."""
    line = Line("http://x", min_rate=1, window=60, limit=None)
    line.begin(60, lambda _: None)
    watched = HeadStream(Inner(iter(pieces)), line)
    watched.write(b"request")
    return watched


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_no_read_goes_beyond_the_end_of_a_head(size: int) -> None:
    whole = INTERIM + HEAD + BODY
    ends = [*range(0, len(whole), size), len(whole)]
    watched = stream(*(whole[start:end] for start, end in pairwise(ends)))
    seen = b""
    for head in (INTERIM, HEAD):
        read = b""
        while len(read) < len(head):
            read += watched.read(1000)
        assert read == head
        seen += read
    watched.body_begins()
    while piece := watched.read(1000):
        seen += piece
    assert seen == whole


def test_bytes_that_are_given_back_are_read_again() -> None:
    watched = stream(HEAD, b"12345", b"6")
    watched.read(1000)
    watched.body_begins()
    assert watched.read(1000) == b"12345"
    watched.unread(b"345")
    assert [watched.read(1000) for _ in range(3)] == [b"345", b"6", b""]
    assert watched.at_end
