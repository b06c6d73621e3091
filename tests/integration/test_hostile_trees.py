"""Servers and trees that were made to cost as much as possible: chunks of one byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI
from msgspec.structs import replace

from casync.ids import Kind, ManifestId
from casync.limits import KIB
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.tree import Link, encode_entry
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.store import LmdbStore
from tests.support.server_clients import healthy, request
from tests.support.serving import PARAMS, ask, put_file, serving
from tests.support.tree_entries import META
from tests.support.tree_objects import Objects

ENTRIES = 24
ENTRY_BYTES = 900 * KIB


def put_hostile_tree(store: LmdbStore, entries: int, *, full: bool) -> ManifestId:
    """Stores a tree of links with large attributes, all of it in chunks of one byte."""
    attributes = tuple((b"user.%02d" % number, bytes(60 * KIB)) for number in range(15))
    meta = replace(META, attributes=attributes)
    stream = b"".join(
        encode_entry(Link(b"%04d" % number, meta, None, b"target")) for number in range(entries)
    )
    objects = Objects()
    root = objects.tree_of(objects.crumbs(stream))
    packer = Packer()
    manifest = packer.pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("tree", PARAMS, root.content))
    )
    ident = ManifestId(manifest.id)
    kinds = [(Kind.NODE if data[:4] == b"CASN" else Kind.CHUNK) for data in objects.plain.values()]
    packed = [
        packer.pack(kind, i, data)
        for kind, (i, data) in zip(kinds, objects.plain.items(), strict=True)
    ]
    manifests = [(ident, ManifestState.FULL, root.length)] if full else []
    store.commit(Batch(objects=[*packed, manifest], manifests=manifests))
    return ident


@pytest.fixture
def store(tmp_path: Path) -> LmdbStore:
    return LmdbStore.open(tmp_path / "store", create=True, map_bytes=2**30)


def app_over(store: LmdbStore, **settings: float) -> FastAPI:
    values = ServerSettings.model_validate(settings)
    return create_app(store, values, writable=store, sink=lambda line: None)


def test_a_folder_of_one_byte_chunks_is_listed(store: LmdbStore) -> None:
    with store:
        ident = put_hostile_tree(store, 2, full=True)
        answer = ask(app_over(store), "GET", f"/v1/trees/{ident.hex()}/-/")
        assert [entry["name"] for entry in answer.json()["entries"]] == ["0000", "0001"]


def test_a_walk_has_a_limit_of_cpu_time(store: LmdbStore) -> None:
    with store:
        put_file(store, b"small", name="small")
        ident = put_hostile_tree(store, 2, full=True)
        app = app_over(store, walk_cpu=0.01)
        for url in (f"/v1/trees/{ident.hex()}/-/", f"/v1/files/{ident.hex()}/-/0001"):
            answer = ask(app, "GET", url)
            assert (answer.status_code, answer.json()["code"]) == (504, "timed-out")
        assert ask(app, "GET", "/v1/files/small").content == b"small"


def test_a_proof_is_told_off_within_an_entry(store: LmdbStore) -> None:
    with store:
        ident = put_hostile_tree(store, 1, full=False)
        app = app_over(store, prove_seconds=0.0)
        told = 0
        while (answer := ask(app, "PUT", f"/v1/manifests/{ident.hex()}")).status_code == 202:
            told += 1
        assert answer.status_code == 200
        assert told >= ENTRY_BYTES // (16 * 1024)


def test_a_walk_ends_with_its_client_and_others_are_served_meanwhile(
    store: LmdbStore, tmp_path: Path
) -> None:
    with store:
        ident = put_hostile_tree(store, ENTRIES, full=True)
        put_file(store, b"small", name="small")
    with serving(tmp_path / "store", {"threads": 1}) as server:
        head = f"GET /v1/trees/{ident.hex()}/-/?after=9 HTTP/1.1\r\nHost: HOST\r\n\r\n"
        for _ in range(4):
            with server.connect() as sock:
                sock.sendall(request(server, head))
                healthy(server)
        server.wait_for("the client disconnected", times=4)
