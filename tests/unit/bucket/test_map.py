"""Maps: where the chunks below a manifest lie."""

from __future__ import annotations

from typing import Final

import pytest
import zstandard

from casync.bucket.keys import SessionPart
from casync.bucket.map import (
    LOOSE,
    MAP_HEADER_BYTES,
    ChunkPlace,
    MapHead,
    MapPart,
    SegmentRow,
    decode_head_part,
    decode_map_header,
    decode_part,
    encode_map_head,
    encode_part,
    loose_chunks,
)
from casync.errors import MalformedError, UnsupportedError
from casync.ids import chunk_id
from casync.objects.node import Content, Record, encode_records

SEGMENTS: Final = [SegmentRow(SessionPart(bytes([n]) * 16, n), 16 << 20) for n in range(3)]
CHUNKS: Final = [Record(chunk_id(bytes([n])), 1000 + n) for n in range(6)]
PLACES: Final = [
    ChunkPlace(0, 64, 900),
    ChunkPlace(0, 64 + 56 + 900, 1001),
    ChunkPlace(2, 5000, 7),
    ChunkPlace(1, 64, 1003),
    ChunkPlace(0, 70, 1),
    ChunkPlace(2, (16 << 20) - 56 - 5, 5),
]
NODE: Final = encode_records(1, CHUNKS)
INDEXES: Final[dict[bytes, Content]] = {chunk_id(b"a.tar"): Content(0, chunk_id(b"index"), 500)}


def opened(data: bytes) -> MapHead:
    header = decode_map_header(data)
    return decode_head_part(header, data[MAP_HEADER_BYTES : MAP_HEADER_BYTES + header.head_bytes])


def test_a_part_has_its_node_and_the_places_of_its_chunks() -> None:
    found = decode_part(encode_part(NODE, PLACES), 1, SEGMENTS)
    assert (found.node, found.records, found.places) == (NODE, CHUNKS, PLACES)


def test_chunks_without_a_node_have_places_as_well() -> None:
    found = decode_part(encode_part(loose_chunks(CHUNKS), PLACES), LOOSE, SEGMENTS)
    assert (found.records, found.places) == (CHUNKS, PLACES)


def test_an_upper_node_has_no_places() -> None:
    node = encode_records(2, CHUNKS)
    assert decode_part(encode_part(node), 2, SEGMENTS) == (node, [], [])


def test_the_head_says_where_each_part_begins() -> None:
    parts = [encode_part(NODE, PLACES), encode_part(encode_records(2, CHUNKS))]
    rows = [(1, bytes(32), len(parts[0])), (2, b"\1" * 32, len(parts[1]))]
    data = encode_map_head(b"manifest", SEGMENTS, rows, INDEXES, version=7) + b"".join(parts)
    header, head = decode_map_header(data), opened(data)
    assert (header.version, header.total) == (7, len(data))
    assert (head.manifest, head.segments) == (b"manifest", SEGMENTS)
    assert head.indexes == INDEXES
    first, second = head.parts
    assert first == MapPart(1, bytes(32), first.offset, len(parts[0]))
    assert second == MapPart(2, b"\1" * 32, first.offset + first.size, len(parts[1]))
    assert data[second.offset :] == parts[1]


def test_a_chunk_takes_few_bytes_of_a_map() -> None:
    places = [ChunkPlace(0, 64 + n * 1056, 1000 + n) for n in range(512)]
    chunks = [Record(chunk_id(n.to_bytes(2, "big")), 1000 + n) for n in range(512)]
    assert len(encode_part(encode_records(1, chunks), places)) < 41 * 512


@pytest.mark.parametrize(
    "place",
    [
        ChunkPlace(3, 64, 900),
        ChunkPlace(-1, 64, 900),
        ChunkPlace(0, 63, 900),
        ChunkPlace(0, (16 << 20) - 56 - 899, 900),
        ChunkPlace(0, 64, 0),
        ChunkPlace(0, 64, -5),
    ],
)
def test_a_place_outside_of_the_segments_is_refused(place: ChunkPlace) -> None:
    part = encode_part(encode_records(1, CHUNKS[:1]), [place])
    with pytest.raises(MalformedError):
        decode_part(part, 1, SEGMENTS)


def test_a_part_that_unpacks_to_more_than_a_node_is_refused() -> None:
    with pytest.raises(MalformedError):
        decode_part(zstandard.ZstdCompressor().compress(bytes(1 << 20)), 1, SEGMENTS)


def test_a_damaged_head_is_found() -> None:
    data = encode_map_head(b"manifest", SEGMENTS, [], {})
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1
        if 16 <= at < 24:  # the version, which is for people
            continue
        with pytest.raises((MalformedError, UnsupportedError)):
            opened(bytes(wrong))


def test_a_map_of_a_later_format_is_not_called_malformed() -> None:
    data = bytearray(encode_map_head(b"manifest", SEGMENTS, [], {}))
    data[8] = 2
    with pytest.raises(UnsupportedError, match="newer"):
        decode_map_header(data)
