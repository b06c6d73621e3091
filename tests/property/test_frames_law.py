"""The law of framing: whole = split anywhere = byte by byte, and garbage is an error of ours."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from casync.errors import CasyncError, MalformedError, UnsupportedError
from casync.ids import ChunkId, Kind, chunk_id
from casync.objects.codec import Packed, Packer
from casync.objects.delta import Delta, Group, Singles, pack_group
from casync.wire.frames import Answer, FrameReader, Status, encode_frames
from casync.wire.requests import decode_groups, decode_sizes, encode_groups

PACKER = Packer()
ABSENT = ChunkId(bytes(32))

plains = st.one_of(
    st.binary(min_size=1, max_size=200),
    st.builds(lambda byte, count: bytes([byte]) * count, st.integers(0, 255), st.just(9000)),
)
objects = plains.map(lambda plain: Packed(*PACKER.pack_new(Kind.CHUNK, plain)))
absences = st.sampled_from([Status.MISSING, Status.DAMAGED, Status.BUSY])
deltas = st.lists(plains, min_size=2, max_size=4).map(
    lambda wanted: pack_group(Kind.CHUNK, [chunk_id(plain) for plain in wanted], wanted, [b"base"])
)
answer_lists = st.lists(st.one_of(objects, absences, deltas), min_size=1, max_size=12)


def groups_for(answers: list[Answer]) -> list[Group]:
    return [
        Group(a.ids if isinstance(a, Delta) else [a.id if isinstance(a, Packed) else ABSENT], [])
        for a in answers
    ]


def read(pieces: list[bytes], groups: list[Group]) -> tuple[list[Answer], str]:
    """The answers, and the text of the error that ended them."""
    reader = FrameReader(Kind.CHUNK, groups)
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
def test_any_split_gives_the_same_answers(answers: list[Answer], cuts: list[int]) -> None:
    groups = groups_for(answers)
    data = b"".join(encode_frames(answers))
    assert read([data], groups) == (answers, "")
    assert read(split(data, cuts), groups) == (answers, "")
    assert read([data[at : at + 1] for at in range(len(data))], groups) == (answers, "")


@given(answer_lists, cuts_lists, st.data())
def test_broken_streams_break_alike(
    answers: list[Answer], cuts: list[int], choice: st.DataObject
) -> None:
    data = bytearray(b"".join(encode_frames(answers)))
    for _ in range(choice.draw(st.integers(1, 3))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    tail = choice.draw(st.binary(max_size=9))
    broken = bytes(data[: choice.draw(st.integers(0, len(data)))]) + tail
    groups = groups_for(answers)
    expected = read([broken], groups)
    assert read(split(broken, cuts), groups) == expected
    assert read([broken[at : at + 1] for at in range(len(broken))], groups) == expected


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
    reader = FrameReader(kind, [Group([ABSENT], []), Group([ABSENT] * 2, [])])
    with suppress(CasyncError):
        for piece in split(data, cuts):
            reader.feed(piece)
        reader.finish()
    with suppress(CasyncError):
        decode_sizes(kind, len(data) // 16, data)


counts = st.builds(
    lambda flags, count, groups, tail: struct.pack("<HHH", flags, count, groups) + tail,
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(0, 4),
    st.lists(st.sampled_from([0, 1, 2, 3]).map(lambda n: struct.pack("<H", n)), max_size=8).flatmap(
        lambda rows: st.integers(0, 8).map(lambda ids: b"".join(rows) + bytes(32 * ids))
    ),
)
heads = st.one_of(st.binary(max_size=100), counts).map(lambda tail: b"CASQ\x01\x01" + tail)


@given(st.one_of(garbage, heads))
def test_garbage_is_not_a_list_of_ids(data: bytes) -> None:
    with suppress(MalformedError, UnsupportedError):
        kind, groups = decode_groups(data)
        assert encode_groups(kind, groups) == data


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_groups_round_trip(rows: list[tuple[int, int]]) -> None:
    groups: Sequence[Group] = [Group([ABSENT] * wanted, [ABSENT] * bases) for wanted, bases in rows]
    if all(group.is_single for group in groups):
        groups = Singles([ABSENT] * len(rows))
    assert decode_groups(encode_groups(Kind.CHUNK, groups)) == (Kind.CHUNK, groups)
