"""Records: their checks, and blocks of chunks that were made into records."""

from __future__ import annotations

import pytest
from blake3 import blake3

from casync.ids import Kind, chunk_id
from casync.objects.codec import Packer, Verified
from casync.objects.record import (
    NAME_RECORD,
    ChunkRecords,
    check_bytes,
    decode_record,
    encode_record,
    records_of,
)
from tests.support.preparing import noise

CHUNKS = [
    Packer().pack_new(Kind.CHUNK, plain) for plain in (noise(900), b"text " * 500, noise(70, 2))
]


def record(item: Verified) -> bytes:
    kind, ident, codec, length, payload = item
    return encode_record(kind, codec, length, ident, payload) + payload


BLOCK = ChunkRecords(
    [item.id for item in CHUNKS],
    [item.length for item in CHUNKS],
    [len(record(item)) for item in CHUNKS],
    memoryview(b"".join(map(record, CHUNKS))),
)


def test_check_is_the_head_of_blake3() -> None:
    assert check_bytes(b"plain") == blake3(b"plain").digest()[:8]


@pytest.mark.parametrize("kind", [*Kind, NAME_RECORD])
@pytest.mark.parametrize("plain", [noise(900), b"text " * 500])
def test_every_record_has_the_check_of_its_payload(kind: int, plain: bytes) -> None:
    """Also where it is taken from the id: that of a raw chunk or name is the same BLAKE3."""
    of = Kind.CHUNK if kind == NAME_RECORD else Kind(kind)
    _, ident, codec, length, payload = Packer().pack_new(of, plain)
    header = encode_record(kind, codec, length, ident, payload)
    assert decode_record(header, 0).check == check_bytes(payload)


def test_a_block_holds_its_chunks() -> None:
    assert list(BLOCK.objects()) == CHUNKS
    assert [bytes(each) for each in BLOCK.each()] == [record(item) for item in CHUNKS]


def test_chunks_are_packed_into_the_same_block() -> None:
    plains = (noise(900), b"text " * 500, noise(70, 2))
    packed = records_of(Packer(), [(chunk_id(plain), plain) for plain in plains])
    assert packed == BLOCK
    assert packed.only({CHUNKS[0].id, CHUNKS[2].id}) == ChunkRecords(
        [CHUNKS[0].id, CHUNKS[2].id],
        [900, 70],
        [len(record(CHUNKS[0])), len(record(CHUNKS[2]))],
        memoryview(record(CHUNKS[0]) + record(CHUNKS[2])),
    )


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (0, 1), (1, 3), (2, 3), (1, 1)])
def test_a_part_of_a_block_is_a_block(start: int, stop: int) -> None:
    assert list(BLOCK.part(start, stop).objects()) == CHUNKS[start:stop]
