from __future__ import annotations

import random
import struct

import pytest

from casync.errors import MalformedError, UnsupportedError
from casync.ids import Kind, chunk_id
from casync.limits import SEGMENT_BYTES
from casync.objects.codec import Codec
from casync.objects.record import RECORD_BYTES, SegmentRecord, decode_record, encode_record
from casync.store.lmdb.segment import (
    HEADER_BYTES,
    Filler,
    RecordPlace,
    decode_header,
    records,
)

STORE = bytes(range(16))


def raw_record(payload: bytes) -> tuple[bytes, bytes]:
    return encode_record(Kind.CHUNK, Codec.RAW, len(payload), chunk_id(payload), payload), payload


def fill(payloads: list[bytes], last: int = -1, tail: bytes | None = None) -> dict[int, bytes]:
    filler = Filler(STORE, last, tail)
    for payload in payloads:
        filler.add(*raw_record(payload))
    return dict(filler.segments())


def sound(data: bytes) -> list[SegmentRecord]:
    return [record for record in records(data) if record is not None]


def test_the_layout_is_as_documented() -> None:
    ((number, data),) = fill([b"payload"]).items()
    assert number == 0
    assert data[:8] == b"\x8dcasSEG\n"
    assert struct.unpack("<HHI16sQ", data[8:40]) == (1, 0, len(data), STORE, 0)
    assert data[40:44] == b"\xc6\x1dR\x8a"
    assert struct.unpack("<BBHII", data[44:56]) == (1, 0, 0, 7, 7)
    assert data[56:88] == chunk_id(b"payload")
    assert data[88:96] == chunk_id(b"payload")[:8]
    assert data[96:] == b"payload"
    assert (HEADER_BYTES, RECORD_BYTES) == (40, 56)


def test_segments_are_filled_and_closed() -> None:
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.randrange(40_000)) for _ in range(200)]
    segments = fill(payloads, last=6)
    assert sorted(segments) == list(range(7, 7 + len(segments)))
    assert all(len(data) <= SEGMENT_BYTES for data in segments.values())
    assert all(len(segments[number]) > SEGMENT_BYTES - 41_000 for number in sorted(segments)[:-1])
    found = [
        r.payload(segments[number]) for number in sorted(segments) for r in sound(segments[number])
    ]
    assert found == payloads
    assert {decode_header(data).used for data in segments.values()} == set(
        map(len, segments.values())
    )


def test_the_last_segment_is_appended_to() -> None:
    before = fill([b"one", b"two"])[0]
    after = fill([b"three"], last=0, tail=before)
    assert list(after) == [0]
    assert after[0][HEADER_BYTES : len(before)] == before[HEADER_BYTES:]
    assert [r.payload(after[0]) for r in sound(after[0])] == [b"one", b"two", b"three"]
    assert decode_header(after[0]).used == len(after[0])


def test_a_segment_that_is_nearly_full_is_left_alone() -> None:
    before = fill([bytes(SEGMENT_BYTES - 50_000)])[0]
    assert list(fill([b"next"], last=0, tail=before)) == [1]


def test_no_records_write_no_segment() -> None:
    assert fill([], last=0, tail=fill([b"one"])[0]) == {}


def test_a_large_object_has_a_segment_of_its_own() -> None:
    large = bytes(SEGMENT_BYTES)
    filler = Filler(STORE, -1, None)
    places = [filler.add(*raw_record(p)) for p in (b"a", large, b"b", large)]
    assert places == [RecordPlace(n, HEADER_BYTES) for n in range(4)]
    assert [len(data) for _, data in filler.segments()] == [
        HEADER_BYTES + RECORD_BYTES + size for size in (1, len(large), 1, len(large))
    ]


def test_a_scan_resynchronises_after_damage() -> None:
    payloads = [random.Random(n).randbytes(300) for n in range(10)]
    data = bytearray(fill(payloads)[0])
    position = data.find(payloads[4])
    data[position + 7] ^= 1
    found = list(records(data))
    assert [None if r is None else r.payload(data) for r in found] == [
        *payloads[:4],
        None,
        *payloads[5:],
    ]


def test_a_scan_survives_a_lost_header() -> None:
    data = bytes(HEADER_BYTES) + fill([b"one", b"two"])[0][HEADER_BYTES:]
    assert [r.payload(data) for r in sound(data)] == [b"one", b"two"]
    with pytest.raises(MalformedError):
        decode_header(data)


def test_a_record_within_a_payload_is_not_taken_for_one() -> None:
    inner = b"".join(raw_record(b"inner"))
    data = fill([b"before" + inner + b"after", b"next"])[0]
    assert len(sound(data)) == 2


def test_a_newer_segment_is_refused() -> None:
    data = bytearray(fill([b"one"])[0])
    data[8] = 2
    with pytest.raises(UnsupportedError, match="format 2 is newer than 1"):
        decode_header(data)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 0), (4, 0), (4, 5), (5, 2), (6, 1), (11, 2), (15, 1), (12, 8)],
    ids=["mark", "kind 0", "kind 5", "codec", "reserved", "too long", "stored high", "stored"],
)
def test_impossible_records_are_refused(offset: int, value: int) -> None:
    data = bytearray(b"".join(raw_record(b"payload")))
    data[offset] = value
    with pytest.raises(MalformedError):
        decode_record(data, 0)
