from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from casync.errors import RemoteProtocolError
from casync.ids import ManifestId, chunk_id
from casync.names.name import NameRecord
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.wire.documents import (
    HistoryPage,
    Info,
    LimitsItem,
    ManifestPage,
    ManifestView,
    NameItem,
    NamePage,
    Problem,
    chunker_item,
    decode_document,
    encode_document,
    manifest_view,
    name_item,
    name_record,
    parse_hash,
)

HASH = "0123456789abcdef" * 4
NAME: dict[str, Any] = {"name": "a/b", "version": 3, "manifest": HASH, "created": 1_700_000_000}


def read(document: object, kind: type[msgspec.Struct]) -> msgspec.Struct:
    return decode_document(json.dumps(document).encode(), kind)


def test_info_round_trip() -> None:
    info = Info(1, "casync 1", "uuid", LimitsItem(1, 2, 3), chunker_item(DEFAULT_PARAMS))
    assert decode_document(encode_document(info), Info) == info


def test_view_of_a_manifest() -> None:
    content = Content(0, chunk_id(b"x"), 1)
    view = manifest_view(ManifestId(bytes(32)), Manifest("file", DEFAULT_PARAMS, content), 7)
    assert decode_document(encode_document(view), ManifestView) == view
    assert (view.hash, view.kind, view.length, view.created) == ("00" * 32, "file", 1, 7)
    assert view.content.id == chunk_id(b"x").hex()


def test_names_round_trip() -> None:
    record = NameRecord("a/b", 3, bytes.fromhex(HASH), 5)
    item = decode_document(encode_document(name_item(record)), NameItem)
    assert name_record(item) == record
    assert parse_hash(item.manifest) == record.manifest


def test_later_servers_may_add_fields() -> None:
    page = read({"names": [{**NAME, "later": [1]}], "more": False, "new": {}}, NamePage)
    assert isinstance(page, NamePage)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5},
        {"name": ""},
        {"name": "x" * 2000},
        {"version": 0},
        {"version": -1},
        {"version": 2**63},
        {"version": 1.5},
        {"manifest": HASH[:-1]},
        {"manifest": HASH + "\n"},
        {"manifest": HASH[:-1] + "\n"},
        {"manifest": HASH.upper()},
        {"manifest": "\u0661" * 64},
        {"created": -1},
        {"created": 10**12},
        {"created": None},
    ],
)
def test_invalid_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read(NAME | change, NameItem)
    with pytest.raises(RemoteProtocolError):
        read({"versions": [NAME | change], "more": False}, HistoryPage)


@pytest.mark.parametrize("label", ["../x", "a//b", "-", "\x1b[2J", "job/x", HASH, "a@1", "/a"])
def test_invalid_names_are_refused(label: str) -> None:
    item = NameItem(label, 1, HASH, 0)
    with pytest.raises(RemoteProtocolError):
        name_record(item)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"manifests":[],"more":NaN}',
        b'{"manifests":{"a":1},"more":true}',
        b'{"manifests":[],"more":true}garbage',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"manifests":[' + b'{"hash":' * 50_000,
        b'{"manifests":[{"hash":"' + b"9" * 64 + b'","length":1e400,"created":0}],"more":false}',
        b'{"more":' + b"9" * 100_000 + b"}",
    ],
)
def test_garbage_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_document(data, ManifestPage)


def test_problems_omit_empty_fields() -> None:
    problem = Problem("Not Found", 404, "no-name", "no name x")
    assert b"next_step" not in encode_document(problem)
    assert decode_document(encode_document(problem), Problem) == problem
