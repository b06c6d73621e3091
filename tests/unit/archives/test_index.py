"""The index of an archive's members."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from casync.archives.detect import ArchiveKind
from casync.archives.gzip_points import GZIP_WINDOW, POINT_SPACING, GzipPoint, GzipPoints
from casync.archives.index import MemberIndex
from casync.archives.index_layout import fits_index, member_order
from casync.archives.index_writing import encode_index, extended_index
from casync.archives.member import Member, MemberKind
from casync.errors import MalformedError
from tests.support.archive_bytes import BytesReader

KIND = ArchiveKind("tar", "gzip")
VECTORS = Path(__file__).parents[2] / "vectors" / "member-index.json"
paths = st.lists(st.sampled_from([b"a", b"b", b"a/b", b"a/b/c", b"ab", b"z" * 40_000]), max_size=30)


def member(path: bytes, number: int) -> Member:
    return Member(path, MemberKind.FILE, number * 1024, number * 1024 + 512, number, number)


def points_of(number: int) -> GzipPoints:
    """Some points, all but the first of which have windows."""
    windows = [b"", *(bytes([at]) * GZIP_WINDOW for at in range(1, number))]
    points = [GzipPoint(10 + 1000 * at, POINT_SPACING * at, at % 8) for at in range(number)]
    return GzipPoints(points, windows.__getitem__)


def index_of(members: list[Member], points: GzipPoints | None = None) -> tuple[MemberIndex, bytes]:
    data = b"".join(encode_index(sorted(members, key=member_order), KIND, 1 << 40, points))
    return MemberIndex(BytesReader(data)), data


@given(paths)
def test_members_are_found_by_path_and_the_last_one_wins(names: list[bytes]) -> None:
    made = [member(path, number) for number, path in enumerate(names)]
    index, _ = index_of(made)
    assert index.count == len(made)
    last = {one.path: one for one in made}
    for path in (b"a", b"b", b"a/b", b"ab", b"z" * 40_000, b"missing", b"", b"zz"):
        found = index.find(path)
        assert (found and found.header) == (last[path].header if path in last else None)
    everything = list(index.members())
    assert [member_order(one) for one in everything] == sorted(map(member_order, made))
    assert [one.header for one in everything if not one.shadowed] == [
        last[path].header for path in sorted(last)
    ]


@given(paths, st.integers(0, 40))
def test_the_last_member_of_a_path_before_another_one_is_found(
    names: list[bytes], number: int
) -> None:
    made = [member(path, at) for at, path in enumerate(names)]
    index, _ = index_of(made)
    for path in {*names, b"missing", b""}:
        before = [one.header for one in made[:number] if one.path == path]
        found = index.find_before(path, number * 1024)
        assert (found and found.header) == (before[-1] if before else None)


@given(
    paths, st.sampled_from([b"", b"a", b"a/", b"b", b"c", b"zz"]), st.sampled_from([b"", b"a/b"])
)
def test_pages_of_a_prefix(names: list[bytes], prefix: bytes, after: bytes) -> None:
    index, _ = index_of([member(path, number) for number, path in enumerate(names)])
    found = [one.path for one in index.members(prefix, after=after)]
    assert found == sorted(
        path for path in names if path.startswith(prefix) and (not after or path > after)
    )


def test_a_member_among_many_costs_the_tail_and_a_block() -> None:
    _, data = index_of([member(b"%06d" % number, number) for number in range(50_000)])
    reader = BytesReader(data)
    found = MemberIndex(reader).find(b"031415")
    assert found is not None
    assert found.length == 31_415
    assert reader.was_read < len(data) / 10


def test_points_come_back() -> None:
    index, _ = index_of([], points_of(20))
    found = index.points()
    assert found is not None
    assert list(found) == list(points_of(20))
    assert (index.kind, index.length) == (KIND, 1 << 40)


def test_damage_anywhere_is_found() -> None:
    made = [member(b"%d" % number, number) for number in range(100)]
    _, data = index_of(made, points_of(4))
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        with pytest.raises(MalformedError):
            _read_all(broken)
    for end in (0, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(MalformedError):
            _read_all(data[:end])


def _read_all(data: bytes) -> None:
    index = MemberIndex(BytesReader(data))
    list(index.members())
    list(index.points() or ())


def test_one_window_is_read_without_the_others() -> None:
    """A2"""
    noise = random.Random(1)
    windows = [noise.randbytes(GZIP_WINDOW) for _ in range(200)]
    points = [GzipPoint(1000 * at, POINT_SPACING * at, 0) for at in range(200)]
    _, data = index_of([], GzipPoints(points, windows.__getitem__))
    reader = BytesReader(data)
    found = MemberIndex(reader).points()
    assert found is not None
    assert found.before(151 * POINT_SPACING - 1) == (points[150], windows[150])
    assert reader.was_read < 2 * GZIP_WINDOW


def test_members_with_one_path_may_fill_many_blocks() -> None:
    same = [member(b"b", number) for number in range(10_000)]
    index, _ = index_of([member(b"a", 0), *same, member(b"c", 0)])
    found = index.find(b"b")
    assert found is not None
    assert found.header == same[-1].header
    assert [one.header for one in index.members(b"b")] == [one.header for one in same]
    assert [one.path for one in index.members() if not one.shadowed] == [b"a", b"b", b"c"]


def test_the_longest_names_that_fit_can_be_read() -> None:
    longest = b"n" * 65_535
    made = [
        msgspec.structs.replace(member(longest, number), raw=longest, target=longest)
        for number in range(5)
    ]
    assert all(map(fits_index, made))
    index, _ = index_of(made)
    assert [one.target for one in index.members()] == [longest] * 5
    assert not fits_index(member(longest + b"n", 0))


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_MEMBERS", 99), ("MAX_INDEX_TAIL", (1 << 20) + 100)]
)
def test_more_than_a_reader_accepts_is_not_written(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    many = [member(b"%060000d" % number, number) for number in range(100)]
    index, _ = index_of(many)
    assert index.count == 100
    monkeypatch.setattr(f"casync.archives.index_writing.{limit}", value)
    with pytest.raises(MalformedError):
        index_of(many)


def test_points_that_are_too_many_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casync.archives.index_writing.MAX_INDEX_POINTS", 5)
    assert len(index_of([], points_of(5))[0].points() or ()) == 5
    assert index_of([], points_of(6))[0].points() is None


def frame(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(value))


def forged(**changes: object) -> bytes:
    tail = {
        "version": 2, "format": "tar", "layer": "", "length": 10, "members": 1, "points": (0, 0),
        "blocks": [(b"a", 0, 20)],
    } | changes  # fmt: skip
    packed = frame(list(tail.values()))
    return b"x" * 20 + packed + len(packed).to_bytes(8, "little") + b"casyncm1"


LIES = [
    forged(version=1),
    forged(version=3),
    forged(format="rar"),
    forged(layer="xz"),
    forged(length=-1),
    forged(length=1 << 63),
    forged(members=-1),
    forged(points=(0, 21)),
    forged(points=(-1, 1)),
    forged(blocks=[(b"a", 10, 11)]),
    forged(blocks=[(b"a", -5, 5)]),
    forged(blocks=[(b"a", 5, -1)]),
    b"",
    b"casyncm1",
    (1 << 40).to_bytes(8, "little") + b"casyncm1",
    (1 << 63).to_bytes(8, "little") + b"casyncm1",
    b"\xff" * 100,
]


@pytest.mark.parametrize("data", LIES)
def test_a_lying_tail_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        MemberIndex(BytesReader(data))


def test_a_lying_block_is_refused() -> None:
    MemberIndex(BytesReader(forged()))
    with pytest.raises(MalformedError):
        MemberIndex(BytesReader(forged())).find(b"a")
    for changes in ({"header": -1}, {"offset": -1}, {"length": 1 << 63}, {"stored": -1}):
        lie = msgspec.structs.replace(member(b"a", 1), **changes)
        with pytest.raises(MalformedError):
            index_of([lie])[0].find(b"a")


def plain_parts(data: bytes) -> Iterable[object]:
    """What is in the frames of an index, and the bytes of its end without the length."""
    at = 0
    while data[at:].startswith(zstandard.FRAME_HEADER):
        reader = zstandard.ZstdDecompressor().decompressobj()
        yield reader.decompress(data[at:])
        at = len(data) - len(reader.unused_data)
    yield data[-8:]


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text()), ids=lambda case: case["about"])
def test_vectors(case: Any) -> None:
    rows = msgspec.msgpack.decode(bytes.fromhex(case["members"]), type=list[Member])
    data = bytes.fromhex(case["index"])
    index = MemberIndex(BytesReader(data))
    assert list(index.members()) == rows
    assert (index.kind.format, index.kind.layer) == (case["format"], case["layer"])
    assert index.length == int(case["length"])
    points = [(*point, window[:2].hex()) for point, window in index.points() or ()]
    assert points == [tuple(point) for point in case["points"]]
    assert all(window == window[:2] * (len(window) // 2) for _, window in index.points() or ())
    made = b"".join(encode_index(rows, index.kind, index.length, index.points()))
    assert list(plain_parts(made))[:-2] == list(plain_parts(data))[:-2]


numbered = st.lists(st.integers(0, 3_000), max_size=40)


@settings(max_examples=50, deadline=None)
@given(numbered, st.integers(0, 2_500), st.lists(st.integers(0, 3_000), max_size=3))
def test_an_index_that_grows_is_that_of_the_grown_archive(
    added: list[int], count: int, gone: list[int]
) -> None:
    """A4"""
    path = b"%06d a path of some length for blocks that are full of few members"
    made = [member(path % number, number) for number in range(count)]
    new = [member(path % number, count + at) for at, number in enumerate(added)]
    without = {path % number for number in gone}
    index, data = index_of(made)
    rows = sorted(new, key=member_order)
    grown = b"".join(
        extended_index(index, rows, length=1 << 40, points=points_of(3), without=without)
    )
    extended = MemberIndex(BytesReader(grown))
    whole, _ = index_of([one for one in made if one.path not in without] + new)
    assert list(extended.members()) == list(whole.members())
    assert (extended.count, extended.length) == (whole.count, 1 << 40)
    assert list(extended.points() or ()) == list(points_of(3))
    if new:
        assert extended.last == max(one.header for one in new)
    if not (new or without):
        at = len(b"".join(index.packed_block(one) for one in range(len(index.first_paths()))))
        assert grown[:at] == data[:at]


def test_more_members_with_one_path_than_a_block_has_grow_by_another() -> None:
    """A4"""
    same = [member(b"b", number) for number in range(10_000)]
    index, _ = index_of([member(b"a", 0), *same, member(b"c", 0)])
    new = member(b"b", 10_000)
    data = b"".join(extended_index(index, [new], length=1 << 40, points=None))
    grown = MemberIndex(BytesReader(data))
    assert [one.header for one in grown.members() if not one.shadowed] == [0, new.header, 0]
    data = b"".join(extended_index(grown, [], length=1 << 40, points=None, without=[b"b"]))
    left = MemberIndex(BytesReader(data))
    assert [one.path for one in left.members()] == [b"a", b"c"]
    assert left.count == 2
