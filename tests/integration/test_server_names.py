"""Setting, removing and restoring names over HTTP, over a store on disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.errors import DeniedError, IncompleteError, LostRaceError, NoNameError, UsageError
from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.remote.server.write_client import WritingClient
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import NameItem, Problem, decode_document, missing_keys
from casync.wire.edits import RemovalItem, TrashPage
from tests.support.server_world import problem
from tests.support.serving import ask, put_file, serving
from tests.support.small_store import content

pytestmark = pytest.mark.stores("lmdb")

NAME = parse_name("vm/grün")
URL = "/v1/names/vm/gr%C3%BCn"
JSON = {"content-type": "application/json"}


@pytest.fixture
def app(store: LmdbStore) -> FastAPI:
    return create_app(store, ServerSettings(), writable=store, sink=lambda _: None)


def put(app: FastAPI, manifest: ManifestId, **fields: str) -> httpx.Response:
    body = {"manifest": manifest.hex()}
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return ask(app, "PUT", URL, json=body, headers=headers)


def item(response: httpx.Response) -> NameItem:
    assert response.status_code == 200, response.text
    return decode_document(response.content, NameItem)


def test_a_name_is_set_and_updated(app: FastAPI, store: LmdbStore) -> None:
    one, two = put_file(store, b"1"), put_file(store, b"2")
    first = put(app, one, if_none_match="*")
    assert (item(first).version, item(first).manifest) == (1, one.hex())
    assert first.headers["etag"] == '"1"'
    assert put(app, one, if_none_match="*").content == first.content  # its answer was lost
    problem(put(app, two, if_none_match="*"), 412, "lost-race")
    assert item(put(app, two, if_match='"1"')).version == 2
    assert put(app, one, if_none_match="*").content == first.content  # lost, and updated since
    problem(put(app, one, if_match='"1"'), 412, "lost-race")
    assert item(put(app, two)).version == 2
    assert item(put(app, one)).version == 3
    assert [r.manifest for r in store.history(NAME)] == [one, two, one]
    newest = ask(app, "GET", URL)
    assert newest.headers["etag"] == '"3"'
    assert item(ask(app, "GET", f"{URL}@2")).manifest == two.hex()
    problem(ask(app, "GET", f"{URL}@4"), 404, "no-name")


@pytest.mark.parametrize("field", ["1", '"0"', '"01"', '"1", "2"', "*", 'W/"1"', '"-1"', ""])
def test_unsupported_conditions_are_refused(app: FastAPI, store: LmdbStore, field: str) -> None:
    one = put_file(store, b"1")
    problem(put(app, one, if_match=field), 400, "usage")
    problem(put(app, one, if_match='"1"', if_none_match="*"), 400, "usage")
    problem(put(app, one, if_none_match='"1"'), 400, "usage")
    assert store.history(NAME) == []


def test_only_full_manifests_are_named(app: FastAPI, store: LmdbStore) -> None:
    whole = put_file(store, b"whole", state=ManifestState.OUTLINE)
    assert item(put(app, whole)).version == 1
    assert store.manifest(whole) is not None
    store.remove([parse_ref(NAME)])
    packed = [item for item in content([b"here", b"elsewhere"])[1] if item.length != 9]
    outline = ManifestId(packed[-1].id)
    store.commit(Batch(objects=packed))
    refused = problem(put(app, outline), 409, "incomplete")
    assert missing_keys(refused.missing) == [(Kind.CHUNK, chunk_id(b"elsewhere"))]
    nowhere = ManifestId(bytes(32))
    document = problem(put(app, nowhere), 409, "incomplete")
    assert missing_keys(document.missing) == [(Kind.MANIFEST, nowhere)]
    assert store.history(NAME) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b'{"manifest": "12"}', 400),
        (b'{"manifest": 12}', 400),
        (b"\xff", 400),
        (b"[" * 200_000, 413),
    ],
)
def test_bodies_without_a_valid_change_are_refused(app: FastAPI, body: bytes, status: int) -> None:
    problem(ask(app, "PUT", URL, content=body, headers=JSON), status, "usage")
    problem(ask(app, "PUT", URL, content=body), 415, "usage")


def test_invalid_names_are_refused(app: FastAPI, store: LmdbStore) -> None:
    body = {"manifest": put_file(store, b"1").hex()}
    for bad in ("job/1", "a//b", "a@1", "a:b", "0" * 64, "-"):
        problem(ask(app, "PUT", f"/v1/names/{bad}", json=body), 400, "usage")
    problem(ask(app, "DELETE", f"/v1/names/{'0' * 64}"), 400, "usage")


def test_removing_and_restoring(app: FastAPI, store: LmdbStore) -> None:
    one, two = (put_file(store, data, name=NAME) for data in (b"1", b"2"))
    gone = decode_document(ask(app, "DELETE", f"{URL}@1").content, RemovalItem)
    assert ([v.version for v in gone.versions], gone.manifests) == ([1], [one.hex()])
    problem(ask(app, "DELETE", f"{URL}@1"), 404, "no-name")
    refs: dict[str, Any] = {"refs": [NAME], "dry_run": True}
    planned = ask(app, "POST", "/v1/trash", json=refs)
    assert item(ask(app, "GET", URL)).version == 2
    assert ask(app, "POST", "/v1/trash", json={"refs": [NAME]}).content == planned.content
    problem(ask(app, "GET", URL), 404, "no-name")
    page = decode_document(ask(app, "GET", "/v1/trash").content, TrashPage)
    assert [entry.manifest for entry in page.entries] == [one.hex(), two.hex()]
    rest = decode_document(ask(app, "GET", "/v1/trash?skip=1").content, TrashPage)
    assert (rest.entries, rest.more) == (page.entries[1:], False)
    assert ask(app, "POST", "/v1/trash/restore", json={"refs": [NAME]}).status_code == 200
    assert [r.manifest for r in store.history(NAME)] == [one, two]
    for refs in ({"refs": []}, {"refs": ["x"] * 101}, {"refs": ["x:y"]}, {"refs": ["0" * 10]}, {}):
        for path in ("/v1/trash", "/v1/trash/restore"):
            problem(ask(app, "POST", path, json=refs), 400, "usage")


def test_removal_is_all_or_nothing(app: FastAPI, store: LmdbStore) -> None:
    put_file(store, b"1", name=NAME)
    problem(ask(app, "POST", "/v1/trash", json={"refs": [NAME, "nobody"]}), 404, "no-name")
    problem(ask(app, "POST", "/v1/trash/restore", json={"refs": [NAME]}), 404, "no-name")
    assert len(store.history(NAME)) == 1


WRITES = [
    ("PUT", URL),
    ("DELETE", URL),
    ("GET", "/v1/trash"),
    ("GET", "/v1/next/vm"),
    ("POST", "/v1/trash"),
    ("POST", "/v1/trash/restore"),
    ("POST", "/v1/pushes"),
    ("POST", f"/v1/objects?push={'0' * 32}"),
    ("POST", f"/v1/objects/stat?push={'0' * 32}"),
    ("PUT", f"/v1/manifests/{'0' * 64}"),
]


@pytest.mark.parametrize(("method", "url"), WRITES)
def test_a_read_only_server_changes_nothing(store: LmdbStore, method: str, url: str) -> None:
    ident = put_file(store, b"1", name=NAME)
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    body = {"manifest": ident.hex(), "refs": [NAME]}
    refused = problem(ask(app, method, url, json=body), 403, "denied")
    assert isinstance(refused, Problem)
    assert "--writable" in refused.next_step
    assert len(store.history(NAME)) == 1


def test_a_read_only_server_refuses_every_route_that_writes(store: LmdbStore) -> None:
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    reading = {("POST", path) for path in ("/v1/objects/fetch", "/v1/objects/stat", "/v1/batch")}
    for path, methods in ask(app, "GET", "/openapi.json").json()["paths"].items():
        for method in methods:
            if method == "get" or (method.upper(), path) in reading:
                continue
            url = path.replace("{name}", "x").replace("{ref}", "x").replace("{ident}", "0" * 64)
            problem(ask(app, method.upper(), url, content=b""), 403, "denied")


# -- The client, and the server as a process ------------------------------------------------------


def test_the_client_sets_and_removes(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        one, two = put_file(store, b"1"), put_file(store, b"2")
    with serving(path, writable=True) as server, WritingClient(server.url) as client:
        assert client.set_name(NameUpdate(NAME, one, 0)).version == 1
        assert client.set_name(NameUpdate(NAME, two, 1)).version == 2
        with pytest.raises(LostRaceError, match="is at version 2, not at 1"):
            client.set_name(NameUpdate(NAME, one, 1))
        with pytest.raises(IncompleteError) as caught:
            client.set_name(NameUpdate(NAME, ManifestId(bytes(32))))
        assert caught.value.missing == [(Kind.MANIFEST, bytes(32))]
        planned = client.removal([parse_ref("vm/grün@1")])
        assert client.remove([parse_ref("vm/grün@1")]) == planned
        with pytest.raises(NoNameError):
            client.remove([parse_ref("vm/grün@1")])
        assert [(r.manifest, r.record and r.record.version) for r in client.removed()] == [(one, 1)]
        assert client.restore([parse_ref("vm/grün@1")]) == planned
        assert [record.manifest for record in client.history(NAME)] == [one, two]
        with pytest.raises(UsageError):
            client.remove([parse_ref("0123456789")])
    with (
        serving(path) as server,
        WritingClient(server.url) as client,
        pytest.raises(DeniedError, match="read-only"),
    ):
        client.set_name(NameUpdate(NAME, one))


def test_a_name_is_one_register_for_all_writers(tmp_path: Path) -> None:
    """Of concurrent updates from one version, exactly one wins, across two workers."""
    path = tmp_path / "store"
    rounds, writers = 8, 4
    with LmdbStore.open(path, create=True) as store:
        manifests = [put_file(store, b"%d" % number) for number in range(writers)]
    with serving(path, writable=True, workers=2) as server:

        def write(writer: int) -> int:
            won = 0
            with WritingClient(server.url) as client:
                for expected in range(rounds):
                    try:
                        record = client.set_name(NameUpdate(NAME, manifests[writer], expected))
                    except LostRaceError:
                        continue
                    won += record.version == expected + 1
            return won

        with ThreadPoolExecutor(writers) as pool:
            won = sum(pool.map(write, range(writers)))
        with WritingClient(server.url) as client:
            history = client.history(NAME)
    assert [record.version for record in history] == list(range(1, len(history) + 1))
    assert won == len(history)
    assert all(a.manifest != b.manifest for a, b in pairwise(history))
