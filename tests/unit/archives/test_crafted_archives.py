"""Archives that are made to do harm: read by index and unpacked, each gives one error of ours."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable

import msgspec
import pytest

from casync.errors import CasyncError, IntegrityError, MalformedError, UnsupportedError, UsageError
from casync.objects.tree import LATEST_NS, File
from casync.store.memory import MemoryStore
from tests.support.crafted_archives import (
    ZEROS,
    changed_zip,
    extended,
    hard_link,
    pax,
    tar_header,
    tar_of,
    wide_zip,
    zip_of,
)
from tests.support.reading_archives import (
    Shown,
    members_read,
    members_unpacked,
    opened,
    prepared_archive,
)
from tests.support.tree_worlds import tree

OK = tar_of("ok") + ZEROS
LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
TWO = zip_of("a", "b")
ALL_ONES = b"\x80" + b"\xff" * 11
FIELDS = b"".join(extended(b"g", b"11 k%04d=v\n" % number) for number in range(1100))
MAP = b"\xa1a\xc4\x01x"
Read = Callable[[bytes], dict[bytes, Shown]]
WAYS: dict[str, Read] = {
    "by index": lambda data: members_read(opened(data)),
    "unpacked": members_unpacked,
}
ways = pytest.mark.parametrize("read", WAYS.values(), ids=WAYS)


def damaged(key: bytes, value: bytes) -> bytes:
    return pax(key, value) + OK


TARS = {
    "a size of 2^95": tar_header(size=ALL_ONES) + ZEROS,
    "a negative size": tar_header(size=b"\xff" * 12) + ZEROS,
    "a sparse file of 2^95 bytes": tar_header(b"S", real=ALL_ONES) + ZEROS,
    "a size that is no number": damaged(b"size", b"1e3"),
    "a negative pax size": damaged(b"size", b"-1"),
    "a size beyond the end": damaged(b"size", b"99999999999999999999"),
    "a size of 30 digits": damaged(b"size", b"9" * 30),
    "a sparse size of 2^64": damaged(b"GNU.sparse.size", b"18446744073709551615"),
    "a sparse map of half a pair": damaged(b"GNU.sparse.map", b"0,1,2"),
    "a sparse map without lines": damaged(b"GNU.sparse.major", b"1"),
    "a time that is no number": damaged(b"mtime", b"nan"),
    "a time of 400 digits": damaged(b"mtime", b"1" * 400),
    "an owner that is no number": damaged(b"uid", b"root"),
    "a record that is longer than its header": extended(b"x", b"99 path=a\n") + OK,
    "a record without an end": extended(b"x", b"9 path=aa") + OK,
    "headers of no member": pax(b"path", b"a") + ZEROS,
    "a pax header of a megabyte": pax(b"comment", b"c" * (1 << 20)) + OK,
    "a thousand fields for all": FIELDS + OK,
    "an end inside a volume": tar_of("ok") + tar_header(b"M", size=b"00000017777\0") + b"x" * 512,
    "two archives": OK + OK,
    "junk after the end": OK + b"junk",
    "a hard link to itself": tar_header(b"1", target=b"crafted") + ZEROS,
    "a hard link out": tar_header(b"1", target=b"/etc/passwd") + ZEROS,
    "junk after gzip": gzip.compress(OK) + b"junk",
    "an end inside gzip": gzip.compress(tar_of("ok", bytes(range(256)) * 1000) + ZEROS)[:-9],
}
ZIPS = {
    "another name in the local header": TWO.replace(b"a", b"c", 1),
    "another checksum": changed_zip(TWO, CENTRAL, 16, "L", 1),
    "another method": changed_zip(TWO, CENTRAL, 10, "H", 0),
    "no stored bytes": changed_zip(TWO, CENTRAL, 20, "L", 0),
    "fewer stored bytes": changed_zip(TWO, CENTRAL, 20, "L", 5),
    "fewer plain bytes": changed_zip(TWO, CENTRAL, 24, "L", 499),
    "more plain bytes": changed_zip(TWO, CENTRAL, 24, "L", 501),
    "4 GiB of plain bytes": changed_zip(TWO, CENTRAL, 24, "L", 0xFFFFFFFE),
    "a member at another place": changed_zip(TWO, CENTRAL, 42, "L", 1),
    "sizes in a field that is missing": changed_zip(TWO, CENTRAL, 42, "L", 0xFFFFFFFF),
    "an entry more": changed_zip(TWO, END, 10, "H", 3),
    "an entry less": changed_zip(TWO, END, 10, "H", 1),
    "no entries": changed_zip(TWO, END, 8, "2H", 0, 0),
    "a directory before the file": changed_zip(TWO, END, 12, "L", 0xFFFFFFF0),
    "a directory of five bytes": changed_zip(TWO, END, 12, "L", 5),
    "one part of several": changed_zip(TWO, END, 4, "2H", 1, 1),
    "junk after the end": TWO + b"junk",
    "2^63 plain bytes": wide_zip(1 << 63, 20, 0),
    "2^63 stored bytes": wide_zip(500, 1 << 63, 0),
    "a header at 2^63": wide_zip(500, 20, 1 << 63),
}
MAPS = {
    "a map in a map": b"\x82" + MAP + b"\xa1b\x81" + MAP,
    "a number as a name": b"\x82" + MAP + b"\x01\xc4\x01x",
    "nothing as bytes": b"\x82" + MAP + b"\xa1b\xc0",
    "four thousand million entries": b"\xdf\xff\xff\xff\xff" + MAP,
    "a value of 4 GiB": b"\x82" + MAP + b"\xa1b\xc6\xff\xff\xff\xffaaa",
    "a name of 4 GiB": b"\x82" + MAP + b"\xdb\xff\xff\xff\xffaaa",
    "a hundred thousand arrays": b"\x82" + MAP + b"\xa1b" + b"\x91" * 100_000 + b"\xc0",
    "two maps": b"\x81" + MAP + b"\x81" + MAP,
}
CRAFTED = {
    **TARS,
    **{f"zip: {name}": data for name, data in ZIPS.items()},
    **{f"map: {name}": data for name, data in MAPS.items()},
}


@ways
@pytest.mark.parametrize("data", CRAFTED.values(), ids=CRAFTED)
def test_an_archive_that_lies_is_one_error(read: Read, data: bytes) -> None:
    """A1"""
    with pytest.raises(CasyncError) as caught:
        read(data)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("whole", [tar_of("a") + OK, TWO, b"\x82" + MAP + b"\xa1b\xc4\x03xyz"])
def test_an_archive_that_ends_early_is_never_taken_for_another_one(whole: bytes) -> None:
    """A tar may lack its end: then the members before are all there is, as GNU tar has it."""
    complete = members_unpacked(whole)
    may_end = range(516, len(whole)) if len(whole) > 1000 else ()
    for end in range(0, len(whole), 1 if len(whole) < 1000 else 37):
        for read in WAYS.values():
            try:
                found = read(whole[:end])
            except (MalformedError, IntegrityError, UsageError):
                continue
            assert end in may_end, end
            assert found.items() <= complete.items()


@ways
@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "/..", "a\0b"])
def test_a_name_that_leads_out_is_no_member(read: Read, name: str) -> None:
    """A1"""
    for data in (
        pax(b"path", name.encode()) + OK,
        zip_of("ok", "x" * len(name)).replace(b"x" * len(name), name.encode()),
        msgspec.msgpack.encode({name: b"data", "ok": b"data"}),
    ):
        assert {*read(data)} <= {b"ok"}


@ways
def test_an_absolute_name_is_one_below_the_archive(read: Read) -> None:
    """A1"""
    for data in (pax(b"path", b"/x//./y") + OK, zip_of("/x//./y"), b"\x81\xa2/x\xc4\x01x"):
        assert all(path.startswith(b"x") for path in read(data))


@ways
def test_links_out_are_not_followed(read: Read) -> None:
    """A1: what is below a link out is a file in a folder of that name."""
    found = read(tar_header(b"2", target=b"/etc") + tar_of("crafted/passwd") + ZEROS)
    assert found[b"crafted/passwd"] == b"data"
    assert found[b"crafted"] in (None, "/etc")


@ways
def test_names_that_are_no_utf_8_are_kept_by_tar_and_taken_for_those_of_dos_in_zip(
    read: Read,
) -> None:
    """A1"""
    assert {*read(pax(b"path", b"\xff\xfe") + OK)} == {b"\xff\xfe"}
    assert {*read(b"\x81\xc4\x02\xff\xfe\xc4\x01x")} == {b"\xff\xfe"}
    assert {*read(zip_of("xxx").replace(b"xxx", b"a\x81b"))} == {"aüb".encode()}


@ways
@pytest.mark.parametrize("time", [ALL_ONES, b"\xff\x80" + bytes(10)])
def test_a_time_beyond_all_clocks_is_the_nearest_one(read: Read, time: bytes) -> None:
    data = tar_header(mtime=time) + ZEROS
    assert read(data) == {b"crafted": b""}
    store = MemoryStore()
    entry = tree(store, prepared_archive(data, store).manifest)[b"crafted"]
    assert isinstance(entry, File)
    assert abs(entry.meta.mtime_ns) >= LATEST_NS


def test_holes_of_exbibytes_take_no_time() -> None:
    data = tar_header(b"S", real=b"\x80\0\0\0" + struct.pack(">Q", 1 << 62)) + ZEROS
    assert prepared_archive(data, MemoryStore()).length == 1 << 62


@ways
def test_the_label_of_a_volume_is_no_member(read: Read) -> None:
    assert {*read(tar_header(b"V") + OK)} == {b"ok"}


@ways
def test_a_zip_may_be_padded_with_zeros(read: Read) -> None:
    """bsdtar does so when it writes into a pipe."""
    assert {*read(TWO + bytes(5000))} == {b"a", b"b"}


@ways
def test_the_directory_of_a_zip_counts_and_checksums_prove_it(read: Read) -> None:
    """Sizes in local headers may be wrong or missing; what is read has the CRC of the directory."""
    for at, layout in ((6, "H"), (8, "H"), (14, "L"), (18, "L"), (22, "L")):
        assert read(changed_zip(TWO, LOCAL, at, layout, 9)) == read(TWO)


@ways
def test_an_archive_in_an_archive_is_a_file(read: Read) -> None:
    """42.zip: nothing is unpacked but what was asked for."""
    inner = zip_of("zeros", data=bytes(10 << 20))
    middle = zip_of(*map(str, range(16)), data=inner)
    outer = zip_of(*map(str, range(16)), data=middle)
    assert read(outer) == {b"%d" % number: middle for number in range(16)}


def test_hard_links_that_lead_to_each_other_end_soon() -> None:
    """Each of ten thousand leads to the one before it, which has the other one's path."""
    links = (hard_link("ab"[number % 2], "ba"[number % 2]) for number in range(10_000))
    archive = opened(tar_of("b") + b"".join(links) + ZEROS)
    made = archive.index
    with pytest.raises(UnsupportedError, match="hard link to a hard link"):
        archive.find(b"a")
    assert archive.index is made, "it has no fault"
    both = (hard_link("a", "b") + hard_link("b", "a")) * 50
    with pytest.raises(UnsupportedError, match="hard link to a hard link"):
        members_unpacked(tar_of("b") + both + ZEROS)


def test_zeros_that_are_no_tar_are_no_archive() -> None:
    """An image of a disk or of a CD begins with zeros."""
    with pytest.raises(UsageError, match="is not an archive"):
        members_unpacked(bytes(32_768) + b"\1CD001")
    assert members_unpacked(bytes(10_240)) == {}
