"""Law: a scan of a damaged segment yields only sound records, and reports the damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import CasyncError
from casync.ids import Kind, chunk_id
from casync.objects.codec import Codec
from casync.objects.record import RECORD_MARK, check_bytes, decode_record, encode_record
from casync.store.lmdb.segment import (
    HEADER_BYTES,
    SEGMENT_MAGIC,
    Filler,
    decode_header,
    records,
)

payload_lists = st.lists(
    st.binary(max_size=200) | st.binary(max_size=50).map(lambda b: b + RECORD_MARK + b),
    max_size=12,
)


def segment(payloads: list[bytes]) -> bytes:
    filler = Filler(bytes(16), -1, None)
    for payload in payloads:
        header = encode_record(Kind.CHUNK, Codec.RAW, len(payload), chunk_id(payload), payload)
        filler.add(header, payload)
    return b"".join(data for _, data in filler.segments())


def scan(data: bytes) -> list[bytes]:
    """All sound payloads, which match their checksums."""
    found = []
    for record in records(data):
        if record is not None:
            payload = record.payload(data)
            assert check_bytes(payload) == record.check
            assert len(payload) == record.stored
            found.append(payload)
    return found


@given(payload_lists)
def test_whole(payloads: list[bytes]) -> None:
    assert scan(segment(payloads)) == payloads


@given(payload_lists, st.data())
def test_cut_short(payloads: list[bytes], data: st.DataObject) -> None:
    whole = segment(payloads)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    assert scan(cut) == payloads[: len(scan(cut))]


@given(payload_lists.filter(bool), st.data())
def test_one_byte_changed(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(segment(payloads))
    at = data.draw(st.integers(HEADER_BYTES, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found = scan(bytes(whole))
    # The changed record is lost, unless only its id changed, which readers compare.
    assert len(found) >= len(payloads) - 1
    assert all(payload in payloads for payload in found)


@given(payload_lists, st.binary(max_size=300), payload_lists)
def test_garbage_between(before: list[bytes], garbage: bytes, after: list[bytes]) -> None:
    data = segment(before) + garbage + segment(after)[HEADER_BYTES:]
    found = scan(data if before else bytes(HEADER_BYTES) + data)
    assert found[: len(before)] == before
    if RECORD_MARK not in garbage:
        assert found[len(found) - len(after) :] == after


@given(st.binary(max_size=500), st.sampled_from([b"", SEGMENT_MAGIC, RECORD_MARK]), st.integers())
def test_garbage(data: bytes, start: bytes, offset: int) -> None:
    data = start + data
    scan(data)
    for parse in (decode_header, lambda d: decode_record(d, 0), lambda d: decode_record(d, offset)):
        try:
            parse(data)
        except CasyncError:
            continue


def test_a_record_needs_all_of_its_header() -> None:
    whole = segment([b"payload"])[HEADER_BYTES:]
    for length in range(56):
        with pytest.raises(CasyncError):
            decode_record(whole[:length], 0)
