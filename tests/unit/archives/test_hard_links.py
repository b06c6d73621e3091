"""What hard links lead to: the same for members by index and for archives that are unpacked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from casync.archives.hard_links import MAX_CHAIN
from casync.errors import NotFoundError, UnsupportedError
from tests.support.crafted_archives import ZEROS, hard_link, tar_header, tar_of
from tests.support.reading_archives import Shown, members_read, members_unpacked, opened

Read = Callable[[bytes], dict[bytes, Shown]]


def read_by_index(data: bytes) -> dict[bytes, Shown]:
    return members_read(opened(data))


ways = pytest.mark.parametrize("read", [read_by_index, members_unpacked])


@ways
def test_a_hard_link_leads_to_the_last_member_before_it_or_else_to_the_next_one(read: Read) -> None:
    first, second = tar_of("a", data=b"first"), tar_of("a", data=b"second")
    links = hard_link("of a", "a"), hard_link("of link", "of a"), hard_link("early", "late")
    late = tar_of("late", data=b"late") + tar_of("late", data=b"later")
    found = read(links[2] + first + links[0] + second + links[1] + late + ZEROS)
    assert found == {
        b"a": b"second",
        b"of a": b"first",
        b"of link": b"first",
        b"early": b"late",
        b"late": b"later",
    }


@ways
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (hard_link("b", "a"), "b is a hard link to a, which is not in the archive"),
        (
            tar_header(b"5") + hard_link("b", "crafted"),
            "b is a hard link to crafted, which is a folder",
        ),
        (hard_link("a", "a"), "a is a hard link to a, which leads back to it"),
        (
            hard_link("a", "b") + hard_link("b", "a"),
            "a is a hard link to a, which leads back to it",
        ),
    ],
)
def test_a_hard_link_without_a_file_is_not_found(read: Read, members: bytes, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        read(members + ZEROS)


@ways
def test_a_chain_of_hard_links_has_one_limit(read: Read) -> None:
    def chain(length: int) -> bytes:
        names = ["file", *(f"link {number:02}" for number in range(length))]
        links = (hard_link(name, before) for before, name in pairwise(names))
        return tar_of("file", data=b"bytes") + b"".join(links) + ZEROS

    assert set(read(chain(MAX_CHAIN)).values()) == {b"bytes"}
    with pytest.raises(UnsupportedError, match="link 40 is a hard link to a hard link, and so on"):
        read(chain(MAX_CHAIN + 1))
