"""Members of MessagePack archives."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from casync.archives.msgpack import MessagePack, map_header
from casync.errors import IntegrityError, MalformedError
from tests.support.archive_bytes import BytesReader


def read(data: bytes) -> dict[bytes, bytes]:
    archive = BytesReader(data)
    found = {}
    for one in MessagePack().scan(archive):
        MessagePack().check(archive, one)
        found[one.path] = b"".join(MessagePack().read(archive, one, 0, one.length))
    return found


@pytest.mark.parametrize("count", [0, 1, 15, 16, 70_000])
def test_maps_of_every_size_are_read(count: int) -> None:
    """A1"""
    contents = {f"folder/{number}": b"%d" % number for number in range(count)}
    data = msgspec.msgpack.encode(contents)
    assert map_header(data[:5])[0] == count
    assert read(data) == {name.encode(): value for name, value in contents.items()}


@pytest.mark.parametrize("size", [0, 255, 256, 65_535, 65_536])
def test_values_and_names_of_every_size_are_read(size: int) -> None:
    for value in (bytes(size), "x" * size):
        data = msgspec.msgpack.encode({"a" * max(size % 300, 1): value})
        (found,) = read(data).values()
        assert len(found) == size


def test_names_may_be_bytes() -> None:
    assert read(msgspec.msgpack.encode({b"a\xff": b"1"})) == {b"a\xff": b"1"}


@pytest.mark.parametrize(
    "value", [{"a": 5}, {"a": {"b": b"1"}}, {5: b"1"}, ["a"], "a", {"a": None}]
)
def test_what_is_no_map_of_names_to_bytes_is_malformed(value: object) -> None:
    with pytest.raises(MalformedError):
        read(msgspec.msgpack.encode(value))


def test_what_ends_early_or_late_is_malformed() -> None:
    data = msgspec.msgpack.encode({"a": b"x" * 500, "b": b"y" * 500})
    for wrong in (data[:1], data[:5], data[:300], data[:-1], data + b"\0"):
        with pytest.raises(MalformedError):
            read(wrong)


def test_an_index_that_lies_is_found_out() -> None:
    archive = BytesReader(msgspec.msgpack.encode({"a": b"x" * 500, "b": b"y" * 500}))
    first, second = MessagePack().scan(archive)
    for lie in (replace(first, length=499), replace(first, header=second.header)):
        with pytest.raises(IntegrityError):
            MessagePack().check(archive, lie)
