"""Uploads: objects arrive unchanged however the body is split, and anything else is refused."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import CasyncError, MalformedError
from casync.ids import Kind, chunk_id
from casync.limits import MAX_BATCH_BYTES, MAX_BATCH_IDS, MAX_CHUNK_SIZE
from casync.objects.codec import Codec, Packed
from casync.wire.uploads import MAX_UPLOAD_BYTES, UploadReader, encode_upload, joined
from tests.contract.store_contract import noise, pack

OBJECTS = [pack(noise(5000, 1)), pack(bytes(9000)), pack(b"x"), pack(b"\0" * 20, Kind.NODE)]
BODY = b"".join(encode_upload(OBJECTS))
END = bytes(40)


def header(kind: int = 1, codec: int = 0, zero: int = 0, length: int = 5) -> bytes:
    return struct.pack("<BBHI32s", kind, codec, zero, length, chunk_id(b"hello"))


def read(body: bytes, *cuts: int) -> list[Packed]:
    reader = UploadReader()
    edges = [0, *sorted(cuts), len(body)]
    found = [packed for start, end in pairwise(edges) for packed in reader.feed(body[start:end])]
    reader.finish()
    return found


def test_uploads_arrive_unchanged() -> None:
    assert read(BODY) == [Packed(*item) for item in OBJECTS]
    assert {packed.codec for packed in OBJECTS} == {Codec.RAW, Codec.ZSTD}
    assert read(BODY, *range(1, len(BODY))) == read(BODY)
    assert read(b"".join(encode_upload([]))) == []


@given(st.lists(st.integers(0, len(BODY)), max_size=9))
def test_a_body_may_be_split_anywhere(cuts: list[int]) -> None:
    assert read(BODY, *cuts) == read(BODY)


@given(st.integers(1, 9000))
def test_pieces_are_the_same_bytes(size: int) -> None:
    pieces = list(joined(encode_upload(OBJECTS), size))
    assert b"".join(pieces) == BODY
    assert all(len(piece) == size for piece in pieces[:-1])
    assert 1 <= len(pieces[-1]) <= size


@pytest.mark.parametrize("end", range(0, len(BODY), 97))
def test_a_body_that_breaks_off_has_no_end(end: int) -> None:
    with pytest.raises(MalformedError):
        read(BODY[:end])


@pytest.mark.parametrize(
    "body",
    [
        END + b"x",
        END + END,
        header(kind=0),
        header(kind=4),
        header(codec=2),
        header(zero=1),
        header(length=0),
        header(length=MAX_CHUNK_SIZE + 1),
        header(kind=2, length=20_489),
        header(kind=3, length=4097),
        header(codec=1) + b"hello" + END,
    ],
)
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


def frame(plain: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "payload",
    [
        frame(noise(100, 1)),  # longer than its plain bytes
        frame(bytes(MAX_CHUNK_SIZE + 1)),
        frame(bytes(1000), write_content_size=False),
        b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd",  # a skippable frame
    ],
)
def test_frames_that_grow_too_large_or_have_no_size_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        read(header(codec=1, length=len(payload)) + payload + END)


def test_the_number_of_objects_is_bounded() -> None:
    many = [pack(b"%d" % number) for number in range(MAX_BATCH_IDS)]
    body = b"".join(encode_upload(many))
    assert len(read(body)) == MAX_BATCH_IDS
    assert len(body) <= MAX_UPLOAD_BYTES
    with pytest.raises(MalformedError):
        read(b"".join(encode_upload([*many, pack(b"one more")])))


def test_a_decompression_bomb_is_refused() -> None:
    bomb = header(codec=1, length=len(frame(bytes(MAX_CHUNK_SIZE)))) + frame(bytes(MAX_CHUNK_SIZE))
    fits = MAX_BATCH_BYTES // MAX_CHUNK_SIZE
    assert len(read(bomb * fits + END)) == fits
    with pytest.raises(MalformedError):
        read(bomb * (fits + 1) + END)


@given(st.binary(max_size=300), st.integers(0, len(BODY)))
def test_garbage_is_refused_by_an_error_of_ours(garbage: bytes, at: int) -> None:
    for body in (garbage, BODY[:at] + garbage + BODY[at:]):
        reader = UploadReader()
        try:
            for packed in reader.feed(body):
                assert 1 <= len(packed.payload) <= packed.length
            reader.finish()
        except CasyncError as error:
            assert isinstance(error, MalformedError)  # noqa: PT017 - nothing else may come


def test_a_flipped_bit_is_an_error_or_another_object() -> None:
    rng = random.Random(1)
    for _ in range(300):
        body = bytearray(BODY)
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        try:
            assert read(bytes(body)) != read(BODY)
        except MalformedError:
            continue
