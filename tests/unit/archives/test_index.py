"""The index of an archive's members."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.archives.detect import ArchiveKind
from casync.archives.index import MemberIndex, encode_index, member_order
from casync.archives.member import Member, MemberKind
from casync.errors import MalformedError
from tests.support.archive_bytes import BytesReader

KIND = ArchiveKind("tar", "gzip")
paths = st.lists(st.sampled_from([b"a", b"b", b"a/b", b"a/b/c", b"ab", b"z" * 40_000]), max_size=30)


def member(path: bytes, number: int) -> Member:
    return Member(path, MemberKind.FILE, number * 1024, number * 1024 + 512, number, number)


def index_of(members: list[Member], points: bytes = b"") -> tuple[MemberIndex, bytes]:
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
    index, _ = index_of([], b"points" * 1000)
    assert index.points() == b"points" * 1000
    assert (index.kind, index.length) == (KIND, 1 << 40)


def test_damage_anywhere_is_found() -> None:
    made = [member(b"%d" % number, number) for number in range(100)]
    _, data = index_of(made, b"points")
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
    index.points()
