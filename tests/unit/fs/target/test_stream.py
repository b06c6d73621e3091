"""Every byte reaches the stream, in order, however the stream behaves."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, cast

import pytest

from casync.errors import WriteError
from casync.fs.target.stream import StreamSink


class Unbuffered(io.RawIOBase):
    """Takes a few bytes at a time, as sockets do, and none at all while it is `full`."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.full = 10**9

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int | None:  # type: ignore[override]
        count = min(len(data), 7, self.full - len(self.taken))
        self.taken += data[:count]
        return count or None


def test_bytes_leave_in_order_and_gaps_are_zeros() -> None:
    out = io.BytesIO()
    sink = StreamSink(out, 30)
    sink.write(12, [b"abc", b"def"])
    sink.write(0, [b"first"])
    sink.settle(15)
    assert out.getvalue() == b"first" + bytes(7) + b"abc"
    sink.settle(30)
    assert out.getvalue() == b"first" + bytes(7) + b"abcdef" + bytes(12)
    assert sink.sha256() == hashlib.sha256(out.getvalue()).digest()


def test_short_writes_are_continued() -> None:
    out = Unbuffered()
    sink = StreamSink(cast(BinaryIO, out), 5_000)
    sink.write(0, [bytes(range(250))] * 10)
    sink.settle(5_000)
    assert out.taken == bytes(range(250)) * 10 + bytes(2_500)


def test_a_non_blocking_stream_is_an_error() -> None:
    out = Unbuffered()
    out.full = 100
    sink = StreamSink(cast(BinaryIO, out), 200)
    with pytest.raises(WriteError, match="O_NONBLOCK"):
        sink.settle(200)
