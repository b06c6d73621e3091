"""Access control lists as text, and as the attributes that they stand for."""

from __future__ import annotations

import struct

import pytest

from casync.archives.unpacking.acl_text import NO_OWNERS, access_list
from casync.errors import MalformedError

NO = 0xFFFFFFFF


class Known:
    def user(self, name: str) -> int | None:
        return {"lisa": 1001}.get(name)

    def group(self, name: str) -> int | None:
        return {"lisa": 2002}.get(name)


def attribute(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


WHOLE = attribute(
    (1, 6, NO), (2, 7, 1001), (2, 5, 77777), (4, 4, NO), (8, 6, 2002), (16, 7, NO), (32, 0, NO)
)


@pytest.mark.parametrize(
    "text",
    [
        "user::rw-\nuser:lisa:rwx\nuser:77777:r-x\ngroup::r--\ngroup:lisa:rw-\nmask::rwx\nother::---\n",
        "user::rw-,group::r--,other::---,user:lisa:rwx:1001,user:77777:r-x,group:lisa:rw-:2002,mask::rwx",
        "u::rw,g::r,o:---,u:lisa:rwx #effective:rwx,u:77777:rx,g:2002:rw,m:rwx",
    ],
    ids=["GNU tar", "libarchive", "short"],
)
def test_all_ways_to_write_a_list_are_one_attribute(text: str) -> None:
    """A1"""
    assert access_list(text.encode(), Known()) == (WHOLE, 0o670)


def test_a_list_that_only_says_the_mode_is_no_attribute_but_for_new_files() -> None:
    """A1"""
    text = b"user::rwx,group::r-x,other::---"
    assert access_list(text, NO_OWNERS) == (b"", 0o750)
    whole = attribute((1, 7, NO), (4, 5, NO), (32, 0, NO))
    assert access_list(text, NO_OWNERS, is_default=True) == (whole, 0o750)


def test_entries_of_unknown_names_are_left_out_and_the_mask_stays() -> None:
    """A1"""
    text = b"user::rwx,user:jane doe:rwx,group::---,mask::rwx,other::---"
    left = attribute((1, 7, NO), (4, 0, NO), (16, 7, NO), (32, 0, NO))
    assert access_list(text, Known()) == (left, 0o770)


@pytest.mark.parametrize(
    "text",
    [
        "user::rwx,group::r-x",
        "user::rwx,group::r-x,other::---,user:5:rwx",
        "user::rwx,user::r--,group::r-x,other::---",
        "user::rwz,group::r-x,other::---",
        "owner::rwx,group::r-x,other::---",
        "user::rwx,group::r-x,other:5:---",
        "user::rwx,group::r-x,other::---,mask::rwx,user:4294967295:rwx",
        "user::rwx,group::r-x,other::---,mask::rwx,user:99999999999999999999:rwx",
        "," * 9000,
        "\xff\0",
    ],
)
def test_what_is_no_list_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError, match="access control list"):
        access_list(text.encode(errors="surrogateescape"), Known())
