"""The header of a segment in a bucket."""

from __future__ import annotations

import pytest

from casync.bucket.keys import SessionPart
from casync.bucket.segment_head import (
    SEGMENT_HEAD_BYTES,
    SegmentHead,
    decode_segment_head,
    encode_segment_head,
)
from casync.errors import MalformedError, UnsupportedError

HEAD = SegmentHead(SessionPart(b"s" * 16, 3), b"u" * 16, 1 << 20, of_nodes=True)


def test_a_header_is_read_as_it_was_written() -> None:
    data = encode_segment_head(HEAD)
    assert len(data) == SEGMENT_HEAD_BYTES == 64
    assert decode_segment_head(data) == HEAD
    chunks = HEAD._replace(of_nodes=False)
    assert decode_segment_head(encode_segment_head(chunks)) == chunks


@pytest.mark.parametrize(("at", "byte"), [(0, 0), (8, 0), (8, 1), (10, 2), (12, 1), (63, 1)])
def test_another_header_is_malformed(at: int, byte: int) -> None:
    data = bytearray(encode_segment_head(HEAD._replace(size=64)))
    data[at] = byte
    with pytest.raises(MalformedError):
        decode_segment_head(data)


def test_a_later_format_is_unsupported() -> None:
    data = bytearray(encode_segment_head(HEAD))
    data[8] = 3
    with pytest.raises(UnsupportedError):
        decode_segment_head(data)


def test_a_truncated_header_is_malformed() -> None:
    with pytest.raises(MalformedError):
        decode_segment_head(encode_segment_head(HEAD)[:-1])
