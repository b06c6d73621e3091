"""Metadata in tar headers that only exports have."""

from __future__ import annotations

import pytest

from casync.archives.member import MemberKind, Special
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.tar_members import unpack_tar
from casync.archives.unpacking.unpacked_member import UnpackedMember
from casync.archives.writing.new_member import ExtendedMeta, NewMember
from casync.archives.writing.tar_writer import tar_header, write_tar
from casync.errors import UsageError


def came_back(member: NewMember) -> UnpackedMember:
    data = b"".join(map(bytes, write_tar([(member, ())])))
    (found,) = unpack_tar(ForwardFile(iter([data])))
    assert isinstance(found, UnpackedMember)
    return found


def test_what_ustar_has_room_for_takes_no_pax_header() -> None:
    """A3"""
    meta = ExtendedMeta(2**21 - 1, 2**21 - 1, "u" * 31, "group")
    member = NewMember(b"a", mtime=8**11 - 1, extended=meta)
    assert len(tar_header(member)) == 512
    found = came_back(member)
    assert (found.uid, found.gid, found.user, found.group) == meta[:4]
    assert found.mtime_ns == (8**11 - 1) * 10**9


@pytest.mark.parametrize(
    ("meta", "record"),
    [
        (ExtendedMeta(uid=2**21), b"15 uid=2097152\n"),
        (ExtendedMeta(gid=2**32 - 1), b"18 gid=4294967295\n"),
        (ExtendedMeta(user="u" * 32), b"42 uname=" + b"u" * 32 + b"\n"),
        (ExtendedMeta(group="ä"), b"12 gname=\xc3\xa4\n"),
        (ExtendedMeta(part_ns=500_000_000), b"13 mtime=7.5\n"),
        (ExtendedMeta(part_ns=1), b"21 mtime=7.000000001\n"),
        (ExtendedMeta(attributes=((b"user.a=%", b"\0\n"),)), b"SCHILY.xattr.user.a%3D%25=\0\n\n"),
    ],
)
def test_what_ustar_has_no_room_for_is_a_pax_record(meta: ExtendedMeta, record: bytes) -> None:
    """A3"""
    member = NewMember(b"a", mtime=7, extended=meta)
    header = tar_header(member)
    assert len(header) == 3 * 512
    assert record in header
    found = came_back(member)
    assert found.mtime_ns == 7 * 10**9 + meta.part_ns
    assert (found.uid, found.gid, found.user, found.group) == meta[:4]
    assert found.attributes == meta.attributes


def test_a_part_of_a_second_before_1970_counts_away_from_1970() -> None:
    member = NewMember(b"a", mtime=-2, extended=ExtendedMeta(part_ns=999_999_999))
    assert b" mtime=-1.000000001\n" in tar_header(member)
    assert came_back(member).mtime_ns == -1_000_000_001


def test_an_owner_whose_name_is_not_printable_has_only_a_number() -> None:
    found = came_back(NewMember(b"a", extended=ExtendedMeta(uid=5, user="a\nb")))
    assert (found.uid, found.user) == (5, "")


@pytest.mark.parametrize(
    "special",
    [
        Special("pipe"),
        Special("block", 259, 2**20 - 1),
        Special("character", 2**32 - 1, 2**21),
    ],
)
def test_devices_come_back_with_their_numbers(special: Special) -> None:
    """A3"""
    assert came_back(NewMember(b"d", MemberKind.OTHER, special=special)).special == special


def test_the_folder_of_all_members_has_a_name_of_its_own() -> None:
    found = came_back(NewMember(b"", MemberKind.FOLDER, mode=0o750))
    assert (found.path, found.mode) == (b"", 0o750)


def test_attributes_that_no_reader_takes_are_refused() -> None:
    attributes = tuple((b"user.%03d" % n, bytes(65_536)) for n in range(16))
    member = NewMember(b"a", extended=ExtendedMeta(attributes=attributes[:15]))
    assert came_back(member).attributes == attributes[:15]
    with pytest.raises(UsageError, match="extended attributes of a"):
        tar_header(NewMember(b"a", extended=ExtendedMeta(attributes=attributes)))
