"""Ids: what is hashed, under which context, and how a HASH is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from casync.errors import UsageError
from casync.ids import (
    EMPTY_ID,
    ID_BYTES,
    Buffer,
    Kind,
    ObjectId,
    chunk_id,
    chunk_ids,
    manifest_id,
    node_id,
    object_id,
    parse_manifest_id,
    zero_chunk_id,
)

# What `printf '' | b3sum` prints.
B3SUM_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_chunk_id_is_what_b3sum_prints() -> None:
    assert chunk_id(b"").hex() == B3SUM_OF_NOTHING
    assert chunk_id(b"") == EMPTY_ID


def test_many_chunks_have_the_ids_that_each_has() -> None:
    chunks: list[Buffer] = [b"", b"x", memoryview(b"abc")[1:], bytes(100_000)]
    assert chunk_ids(chunks) == [chunk_id(chunk) for chunk in chunks]


def test_the_same_bytes_have_another_id_as_another_kind() -> None:
    ids = {chunk_id(b"x"), node_id(b"x"), manifest_id(b"x")}
    assert len(ids) == 3
    assert {len(ident) for ident in ids} == {ID_BYTES}


def test_object_id_follows_the_kind() -> None:
    assert object_id(Kind.CHUNK, b"x") == chunk_id(b"x")
    assert object_id(Kind.NODE, b"x") == node_id(b"x")
    assert object_id(Kind.MANIFEST, b"x") == manifest_id(b"x")


@pytest.mark.parametrize("make", [chunk_id, node_id, manifest_id])
def test_any_buffer_is_accepted(make: Callable[[Buffer], ObjectId]) -> None:
    assert make(b"abc") == make(bytearray(b"abc")) == make(memoryview(b"xabcx")[1:4])


def test_zero_chunks() -> None:
    assert zero_chunk_id(65536) == chunk_id(bytes(65536))


def test_a_hash_is_read_back() -> None:
    ident = manifest_id(b"m")
    assert parse_manifest_id(ident.hex()) == ident


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 31,
        "ab" * 33,
        "AB" * 32,
        "ab" * 31 + "a ",
        " " + "ab" * 31 + "a",
        "\u0660" * 64,  # digits, but not ASCII
        "g" * 64,
        "ab" * 32 + "\n",
    ],
)
def test_nothing_else_is_a_hash(text: str) -> None:
    with pytest.raises(UsageError):
        parse_manifest_id(text)
