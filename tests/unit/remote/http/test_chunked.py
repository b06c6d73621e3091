"""The data of chunked bodies: found however they are cut; h11 judges the rest."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.remote.http.chunked import ChunkedData, chunked_data

BODY = b"5\r\nhello\r\n00A\r\n, world\r\nX\r\n0\r\nTrailer: t\r\n\r\n"
DATA = b"hello, world\r\nX"
REST = b"0\r\nTrailer: t\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire:
    """A connection that has received pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def read(self, max_bytes: int) -> bytes:
        """The next piece."""
        return self.pieces.pop(0) if self.pieces else b""

    def unread(self, data: bytes) -> None:
        """Gives bytes back."""
        if data:
            self.pieces.insert(0, data)


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The bytes in pieces that end at some places."""
    ends = [0, *sorted(at), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def ours(pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    """The data of a body, and whether h11 accepts what is left to it."""
    wire = Wire(pieces)
    found = b"".join(chunked_data(wire))
    more, is_whole = of_h11(wire.pieces)
    return found + more, is_whole


def of_h11(pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    """The data of a body as h11 finds it, and whether it is whole and right."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    data = b""
    try:
        for piece in [HEAD, *pieces, b""]:
            connection.receive_data(piece)
            while isinstance(event := connection.next_event(), h11.Response | h11.Data):
                data += bytes(event.data) if isinstance(event, h11.Data) else b""
            if isinstance(event, h11.EndOfMessage):
                return data, True
    except h11.RemoteProtocolError:
        pass
    return data, False


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
def test_a_body_may_be_cut_anywhere(at: list[int]) -> None:
    wire = Wire(cut(BODY, at))
    assert b"".join(chunked_data(wire)) == DATA
    assert b"".join(wire.pieces) == REST


def test_a_body_may_come_byte_by_byte() -> None:
    assert ours(cut(BODY, range(len(BODY)))) == (DATA, True)


def test_data_is_not_copied() -> None:
    piece = b"3\r\nabc\r\n2\r\nde\r\n"
    assert [view.obj is piece for view in ChunkedData().feed(piece)] == [True, True]


def test_a_line_that_begins_no_chunk_is_left_to_h11_at_once() -> None:
    body = ChunkedData()
    assert body.feed(b"zz\r\n") == []
    assert body.rest == b"zz\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\n\r\n",
        b"5;name=value\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"3\r\nabc\r\n5;x\r\nhello\r\n0\r\n\r\n",
        b"000000000000003\r\nabc\r\n0\r\n\r\n",
        b"",
        b"3",
        b"3\r\nab",
        b"3\r\nabc",
        b"3\r\nabc\r",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n",
        b"3\r\nabc5\r\nhello\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"g\r\nabc\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_plain_data_is_left_to_h11(body: bytes) -> None:
    expected = of_h11([body])
    assert ours([body]) == expected
    assert ours(cut(body, range(len(body)))) == expected


@given(st.lists(st.sampled_from([b"3\r\n", b"abc", b"\r\n", b"0\r\n", b"a", b";", b"\n", b"1"])))
def test_any_bytes_are_what_they_are_to_h11(parts: list[bytes]) -> None:
    expected, is_whole = of_h11([b"".join(parts)])
    data, is_right = ours(parts)
    assert is_right == is_whole
    if is_whole:
        assert data == expected
