"""Manifests: one valid encoding, and all others are refused."""

from __future__ import annotations

import msgspec
import pytest

from casync.errors import IntegrityError, MalformedError, UnsupportedError
from casync.ids import EMPTY_ID, chunk_id
from casync.limits import MAX_LENGTH, MAX_LEVEL, MAX_MANIFEST_BYTES
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.node import EMPTY, Content

ID = chunk_id(b"x")
MANIFEST = Manifest("file", DEFAULT_PARAMS, Content(2, ID, 10**9))


def document(**changes: object) -> bytes:
    """The document of `MANIFEST`, field by field, with some of them replaced or added."""
    fields: dict[str, object] = {
        "version": 1,
        "kind": "file",
        "features": [],
        "length": 10**9,
        "chunker": {"algorithm": "fastcdc-v1", "min": 4096, "avg": 16384, "max": 65536},
        "content": [2, ID, 10**9],
    }
    return msgspec.msgpack.encode(fields | changes)


def chunker(**changes: object) -> bytes:
    sizes: dict[str, object] = {"algorithm": "fastcdc-v1", "min": 4096, "avg": 16384, "max": 65536}
    return document(chunker=sizes | changes)


def content(level: object, ident: object, length: object) -> bytes:
    return document(content=[level, ident, length], length=length)


def test_the_encoding_is_a_map_in_the_documented_order() -> None:
    assert encode_manifest(MANIFEST) == document()
    assert list(msgspec.msgpack.decode(document())) == [
        "version",
        "kind",
        "features",
        "length",
        "chunker",
        "content",
    ]


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        Manifest("tree", ChunkerParams(64, 256, 1024), Content(0, ID, 1)),
        Manifest("file", DEFAULT_PARAMS, EMPTY),
        Manifest("file", DEFAULT_PARAMS, Content(0, ID, 65536)),
        Manifest("file", ChunkerParams.from_average(2**22), Content(MAX_LEVEL, ID, MAX_LENGTH)),
    ],
)
def test_round_trip(manifest: Manifest) -> None:
    data = encode_manifest(manifest)
    assert len(data) < 200
    assert decode_manifest(data) == decode_manifest(memoryview(data)) == manifest
    assert manifest.length == manifest.content.length


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(document(version=2), id="version"),
        pytest.param(msgspec.msgpack.encode({"version": 2, "new": [1]}), id="another layout"),
        pytest.param(document(features=["x"]), id="feature"),
        pytest.param(chunker(algorithm="buzhash"), id="chunker"),
    ],
)
def test_a_newer_manifest_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedError):
        decode_manifest(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"not a manifest", id="text"),
        pytest.param(document()[:-1], id="cut short"),
        pytest.param(document() + b"\x00", id="a byte behind it"),
        pytest.param(bytes(MAX_MANIFEST_BYTES + 1), id="too long"),
        pytest.param(document(version=0), id="version 0"),
        pytest.param(document(version=-1), id="version -1"),
        pytest.param(document(version=1.0), id="version as a float"),
        pytest.param(document(version=True), id="version as a truth"),
        pytest.param(document(kind="device"), id="kind"),
        pytest.param(document(host="a"), id="a field more"),
        pytest.param(document(length=1), id="lengths disagree"),
        pytest.param(document(length=float("nan")), id="NaN"),
        pytest.param(chunker(min=63), id="min"),
        pytest.param(chunker(max=2**24 + 1), id="max"),
        pytest.param(chunker(avg=2**63), id="avg"),
        pytest.param(content(2, ID[:31], 10**9), id="short id"),
        pytest.param(content(2, ID.hex(), 10**9), id="id as text"),
        pytest.param(content(-1, ID, 10**9), id="level -1"),
        pytest.param(content(9, ID, 10**9), id="level 9"),
        pytest.param(content(0, ID, 65537), id="chunk above its maximum"),
        pytest.param(content(2, ID, 2**63), id="length"),
        pytest.param(content(2, ID, -1), id="negative length"),
        pytest.param(content(0, ID, 0), id="nothing with an id"),
        pytest.param(content(0, EMPTY_ID, 1), id="something with the id of nothing"),
        pytest.param(content(1, EMPTY_ID, 0), id="nothing on a level"),
        pytest.param(document(content=[2, ID, 10**9, 0]), id="content of four"),
        pytest.param(document(content={"level": 2, "id": ID, "length": 1}), id="content as a map"),
        pytest.param(b"\x82\xa7version\x01\xa1x" + b"\x91" * 4000, id="deep nesting"),
        pytest.param(b"\x82\xa7version\x01\xa1x\xdd\xff\xff\xff\xff", id="4 billion entries"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="4 billion fields"),
        pytest.param(b"\x82\xa7version\x01\xa4kind\xa1\xff", id="no UTF-8"),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_manifest(data)


def reordered() -> bytes:
    fields = msgspec.msgpack.decode(document())
    return msgspec.msgpack.encode({key: fields[key] for key in reversed(list(fields))})


def doubled() -> bytes:
    """The field `kind` twice."""
    return (
        b"\x87" + document()[1:] + msgspec.msgpack.encode("kind") + msgspec.msgpack.encode("file")
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(reordered(), id="another order"),
        pytest.param(doubled(), id="a field twice"),
        pytest.param(
            document().replace(b"\xa7version\x01", b"\xa7version\xcc\x01"), id="longer integer"
        ),
        pytest.param(document().replace(b"\xa4kind\xa4", b"\xa4kind\xd9\x04"), id="longer text"),
        pytest.param(b"\xde\x00\x06" + document()[1:], id="longer map"),
    ],
)
def test_the_same_values_in_another_encoding(data: bytes) -> None:
    assert msgspec.msgpack.decode(data) == msgspec.msgpack.decode(document())
    with pytest.raises(MalformedError, match="one encoding"):
        decode_manifest(data)


def test_every_byte_counts() -> None:
    data = document()
    for index in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[index] ^= 1 << bit
            try:
                manifest = decode_manifest(changed)
            except (IntegrityError, UnsupportedError):
                continue
            assert manifest != MANIFEST
            assert encode_manifest(manifest) == changed
