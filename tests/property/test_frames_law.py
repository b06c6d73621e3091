"""The law of framing: whole = split anywhere = byte by byte, and garbage is an error of ours."""

from __future__ import annotations

import itertools
import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from casync.codec import Packed, Packer
from casync.delta import singles
from casync.errors import CasyncError, MalformedError, UnsupportedError
from casync.frames import Answer, FrameReader, Status, encode_frames
from casync.ids import ChunkId, Kind, ObjectId
from casync.lists import decode_ids, decode_sizes, encode_ids

PACKER = Packer()

plains = st.one_of(
    st.binary(min_size=1, max_size=200),
    st.builds(lambda byte, count: bytes([byte]) * count, st.integers(0, 255), st.just(9000)),
)
objects = plains.map(lambda plain: Packed(*PACKER.pack_new(Kind.CHUNK, plain)))
absences = st.sampled_from([Status.MISSING, Status.DAMAGED, Status.BUSY])
answer_lists = st.lists(st.one_of(objects, absences), min_size=1, max_size=12)


def ids_for(answers: list[Answer]) -> list[ObjectId]:
    return [a.id if isinstance(a, Packed) else ChunkId(bytes(32)) for a in answers]


def read(pieces: list[bytes], ids: list[ObjectId]) -> tuple[list[Answer], str]:
    """The answers, and the text of the error that ended them."""
    reader = FrameReader(Kind.CHUNK, singles(ids))
    answers: list[Answer] = []
    try:
        for piece in pieces:
            answers += reader.feed(piece)
        reader.feed(b"")
        reader.finish()
    except CasyncError as error:
        return answers, f"{error.code}: {error}"
    return answers, ""


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


cuts_lists = st.lists(st.integers(0, 2**20), max_size=8)


@given(answer_lists, cuts_lists)
def test_however_it_is_cut(answers: list[Answer], cuts: list[int]) -> None:
    ids = ids_for(answers)
    data = b"".join(encode_frames(answers))
    assert read([data], ids) == (answers, "")
    assert read(split(data, cuts), ids) == (answers, "")
    assert read([data[at : at + 1] for at in range(len(data))], ids) == (answers, "")


@given(answer_lists, cuts_lists, st.data())
def test_broken_streams_break_alike(
    answers: list[Answer], cuts: list[int], choice: st.DataObject
) -> None:
    data = bytearray(b"".join(encode_frames(answers)))
    for _ in range(choice.draw(st.integers(1, 3))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    tail = choice.draw(st.binary(max_size=9))
    broken = bytes(data[: choice.draw(st.integers(0, len(data)))]) + tail
    ids = ids_for(answers)
    expected = read([broken], ids)
    assert read(split(broken, cuts), ids) == expected
    assert read([broken[at : at + 1] for at in range(len(broken))], ids) == expected


headers = st.builds(
    lambda s, c, n, size: struct.pack("<BBHI", s, c, n, size),
    st.integers(0, 8),
    st.integers(0, 2),
    st.integers(0, 4),
    st.one_of(st.integers(0, 20), st.integers(0, 2**32 - 1)),
)
garbage = st.lists(st.one_of(headers, st.binary(max_size=30)), max_size=8).map(b"".join)


@given(garbage, cuts_lists, st.sampled_from(Kind))
def test_garbage_is_an_error_of_ours(data: bytes, cuts: list[int], kind: Kind) -> None:
    reader = FrameReader(kind, singles(ids_for([Status.BUSY] * 3)))
    with suppress(CasyncError):
        for piece in split(data, cuts):
            reader.feed(piece)
        reader.finish()
    with suppress(CasyncError):
        decode_sizes(kind, len(data) // 16, data)


@given(st.one_of(garbage, st.binary(max_size=100).map(lambda tail: b"CASQ\x01\x01" + tail)))
def test_garbage_is_no_list_of_ids(data: bytes) -> None:
    with suppress(MalformedError, UnsupportedError):
        kind, ids = decode_ids(data)
        assert encode_ids(kind, ids) == data
