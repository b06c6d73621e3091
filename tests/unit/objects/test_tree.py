"""Trees: one valid encoding, and nothing that leads out of a folder."""

from __future__ import annotations

import time

import msgspec
import pytest
from msgspec.structs import replace

from casync.errors import MalformedError
from casync.ids import EMPTY_ID
from casync.limits import KIB, MAX_ENTRY_BYTES, MAX_LINK_TARGET, MAX_TREE_PATH
from casync.objects.node import EMPTY, Content
from casync.objects.tree import (
    Device,
    Entry,
    EntryReader,
    File,
    Folder,
    Link,
    Pipe,
    bounded_time,
    check_file_name,
    decode_root,
    encode_entry,
    encode_root,
)
from tests.support.tree_entries import CONTENT, META


def framed(*fields: object) -> bytes:
    body = msgspec.msgpack.encode(fields)
    return len(body).to_bytes(4, "little") + body


def read(stream: bytes) -> list[Entry]:
    reader = EntryReader()
    found = list(reader.feed(stream))
    reader.finish()
    return found


def test_an_entry_in_small_pieces_is_joined_in_linear_time() -> None:
    def seconds(size: int) -> float:
        stream = b"%b" % (size + 4096).to_bytes(4, "little") + bytes(size)
        started = time.process_time()
        reader = EntryReader()
        for at in range(0, size, 2):
            assert not list(reader.feed(stream[at : at + 2]))
        return time.process_time() - started

    few = min(seconds(128 * KIB) for _ in range(3))
    many = min(seconds(8 * 128 * KIB - 4096) for _ in range(2))
    assert many < 24 * few  # a quadratic join takes 64 times as long


def meta(**changes: object) -> list[object]:
    fields: dict[str, object] = {
        "mode": 0o644,
        "mtime": 0,
        "uid": 0,
        "gid": 0,
        "user": "",
        "group": "",
        "attributes": [],
    }
    return [*(fields | changes).values()]


CONTENT_FIELDS = [0, CONTENT.id, 1]


@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"/", b"a/b", b"/etc", b"../x", b"a\0", b"\0", b"x" * 256],
)
def test_names_that_lead_elsewhere_are_refused(name: bytes) -> None:
    with pytest.raises(MalformedError):
        check_file_name(name)
    with pytest.raises(MalformedError):
        encode_entry(File(name, META, None, CONTENT))
    with pytest.raises(MalformedError):
        read(framed("file", name, meta(), None, CONTENT_FIELDS))


@pytest.mark.parametrize(
    "name", [b"...", b"a\\b", b"\xff\xfe", b" ", b"-", b"x" * 255, b"a\nb", b"C:", b"\x1b[0m"]
)
def test_names_that_a_file_may_have(name: bytes) -> None:
    entry = File(name, META, None, CONTENT)
    assert read(encode_entry(entry)) == [entry]


@pytest.mark.parametrize(
    "names", [(b"b", b"a"), (b"a", b"a"), (b"a", b"b", b"a"), (b"a.", b"a")], ids=str
)
def test_names_out_of_order(names: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedError, match="sorted"):
        read(b"".join(encode_entry(File(name, META, None, CONTENT)) for name in names))


@pytest.mark.parametrize(
    "fields",
    [
        ("file", b"a", meta(mode=0o10000), None, CONTENT_FIELDS),
        ("file", b"a", meta(mode=-1), None, CONTENT_FIELDS),
        ("file", b"a", meta(mtime=2**63), None, CONTENT_FIELDS),
        ("file", b"a", meta(mtime=1.5), None, CONTENT_FIELDS),
        ("file", b"a", meta(uid=2**32), None, CONTENT_FIELDS),
        ("file", b"a", meta(gid=-1), None, CONTENT_FIELDS),
        ("file", b"a", meta(user="x" * 256), None, CONTENT_FIELDS),
        ("file", b"a", meta(attributes=[[b"b", b""], [b"a", b""]]), None, CONTENT_FIELDS),
        ("file", b"a", meta(attributes=[[b"a", b""], [b"a", b""]]), None, CONTENT_FIELDS),
        ("file", b"a", meta(attributes=[[b"", b""]]), None, CONTENT_FIELDS),
        ("file", b"a", meta(attributes=[[b"a\0", b""]]), None, CONTENT_FIELDS),
        ("file", b"a", meta(attributes=[[b"a", b"x" * 65537]]), None, CONTENT_FIELDS),
        ("file", b"a", [*meta(), 1], None, CONTENT_FIELDS),
        ("file", b"a", meta()[:-1], None, CONTENT_FIELDS),
        ("file", b"a", meta(), None, [0, EMPTY_ID, 1]),
        ("file", b"a", meta(), None, [0, CONTENT.id, 0]),
        ("file", b"a", meta(), None, [0, b"short", 1]),
        ("file", b"a", meta(), None, [9, CONTENT.id, 2**40]),
        ("file", b"a", meta(), None, [0, CONTENT.id, 2**24 + 1]),
        ("file", b"a", meta(), b"", CONTENT_FIELDS),
        ("file", b"a", meta(), b"/etc/shadow", CONTENT_FIELDS),
        ("file", b"a", meta(), b"../x", CONTENT_FIELDS),
        ("file", b"a", meta(), b"b//c", CONTENT_FIELDS),
        ("file", b"a", meta(), b"b/./c", CONTENT_FIELDS),
        ("file", b"a", meta(), b"b/" * (MAX_TREE_PATH // 2) + b"bb", CONTENT_FIELDS),
        ("file", b"a", meta(), None),
        ("file", b"a", meta(), None, CONTENT_FIELDS, 0),
        ("folder", b"a", meta(), None, CONTENT_FIELDS),
        ("link", b"a", meta(), None, b""),
        ("link", b"a", meta(), None, b"a\0b"),
        ("link", b"a", meta(), None, b"x" * (MAX_LINK_TARGET + 1)),
        ("device", b"a", meta(), None, 1, 1, 1),
        ("device", b"a", meta(), None, True, 1, 2**32),
        ("device", b"a", meta(), None, True, -1, 1),
        ("socket", b"a", meta(), None),
        ("file", "a", meta(), None, CONTENT_FIELDS),
        (),
    ],
    ids=str,
)
def test_impossible_entries_are_refused(fields: tuple[object, ...]) -> None:
    with pytest.raises(MalformedError):
        read(framed(*fields))


def test_an_entry_has_one_encoding() -> None:
    good = framed("pipe", b"a", meta(), None)
    assert read(good) == [Pipe(b"a", META.__class__(0o644, 0, 0, 0, "", "", ()), None)]
    longer = good[4:].replace(b"\xa4pipe", b"\xd9\x04pipe")  # a longer form of the same text
    with pytest.raises(MalformedError, match="one encoding"):
        read(len(longer).to_bytes(4, "little") + longer)


def test_an_entry_with_a_huge_length_is_refused_before_it_arrives() -> None:
    with pytest.raises(MalformedError, match="entry of"):
        list(EntryReader().feed((MAX_ENTRY_BYTES + 1).to_bytes(4, "little")))
    many = tuple((b"user.%03d" % number, bytes(65536)) for number in range(17))
    large = META.__class__(0, 0, 0, 0, "", "", many)
    with pytest.raises(MalformedError, match="entry of"):
        encode_entry(Pipe(b"a", large, None))


def test_entries_are_checked_when_written_as_when_read() -> None:
    for entry in (
        Link(b"a", META, None, b""),
        Device(b"a", META, b"..", True, 0, 0),
        File(b"a", META, None, Content(1, EMPTY_ID, 1)),
    ):
        with pytest.raises(MalformedError):
            encode_entry(entry)


def test_the_root_is_one_folder_without_a_name() -> None:
    root = Folder(b"", META, EMPTY)
    assert decode_root(encode_root(root)) == root
    for data in (
        b"",
        encode_root(root) * 2,
        encode_root(root)[:-1],
        encode_entry(Folder(b"a", META, EMPTY)),
        encode_entry(File(b"a", META, None, CONTENT)),
    ):
        with pytest.raises(MalformedError):
            decode_root(data)
    with pytest.raises(MalformedError):
        encode_root(Folder(b"a", META, EMPTY))
    with pytest.raises(MalformedError):
        read(encode_root(root))


@pytest.mark.parametrize("mtime_ns", [-(2**80), -(2**63) - 1, -(2**63), 0, 2**63 - 1, 2**63, 2**80])
def test_any_time_has_a_nearest_one_that_an_entry_can_hold(mtime_ns: int) -> None:
    meta = replace(META, mtime_ns=bounded_time(mtime_ns))
    encode_entry(Link(b"x", meta, None, b"y"))
    if -(2**63) <= mtime_ns < 2**63:
        assert meta.mtime_ns == mtime_ns
