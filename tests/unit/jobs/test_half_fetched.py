"""Half-fetched objects."""

from __future__ import annotations

import pytest

from casync.errors import MalformedError
from casync.ids import chunk_id
from casync.jobs.checksum import Checksum
from casync.jobs.half_fetched import (
    FetchedPart,
    decode_part,
    encode_part,
    half_fetched,
    pack_chunks,
)
from casync.jobs.validators import Validators

CHUNKS = [(chunk_id(b"%d" % number), 100 + number) for number in range(5)]
STATE = Validators('"a"', checksums=(Checksum("md5", bytes(16)),))


def test_parts_are_joined_up_to_the_last_cut() -> None:
    """D12: an object goes on at its last cut."""
    parts = [
        FetchedPart(STATE, 9999, pack_chunks(CHUNKS[:3])),
        FetchedPart(STATE, 9999, pack_chunks(CHUNKS[3:])),
    ]
    half = half_fetched(lambda: [decode_part(encode_part(part)) for part in parts])
    assert half is not None
    assert list(half.chunks) == CHUNKS
    assert half.offset == 510
    assert (half.validators, half.size) == (STATE, 9999)


def test_no_parts_are_no_object() -> None:
    assert half_fetched(list) is None


def test_parts_of_two_states_are_malformed() -> None:
    parts = [FetchedPart(STATE, 9999, b""), FetchedPart(Validators('"b"'), 9999, b"")]
    with pytest.raises(MalformedError, match="different states"):
        half_fetched(lambda: parts)


def test_an_object_is_not_longer_than_itself() -> None:
    with pytest.raises(MalformedError, match="longer"):
        half_fetched(lambda: [FetchedPart(STATE, 509, pack_chunks(CHUNKS))])


@pytest.mark.parametrize("chunks", [bytes(35), bytes(36), bytes(32) + b"\xff" * 4])
def test_chunks_that_cannot_be_are_malformed(chunks: bytes) -> None:
    good = encode_part(FetchedPart(STATE, None, pack_chunks(CHUNKS[:1])))
    bad = good[: -len(pack_chunks(CHUNKS[:1])) - 1] + bytes([len(chunks)]) + chunks
    with pytest.raises(MalformedError):
        decode_part(bad)
