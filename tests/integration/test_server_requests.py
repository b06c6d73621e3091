"""Every request of the server, over a store in memory."""

import json
import re

import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings

from casync.ids import Kind, ManifestId, chunk_id, manifest_id
from casync.objects.codec import Codec, Packed, Packer
from casync.objects.delta import Singles
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from casync.wire.documents import (
    HistoryPage,
    Info,
    ManifestPage,
    ManifestView,
    NameItem,
    NamePage,
    decode_document,
)
from casync.wire.frames import FRAMES_TYPE, MANIFEST_TYPE, FrameReader, Status
from casync.wire.requests import IDS_TYPE, SIZES_TYPE, decode_sizes, encode_ids
from tests.support.server_world import DATA, World, problem
from tests.support.serving import ask

IDS = {"content-type": IDS_TYPE}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


# -- Objects --------------------------------------------------------------------------------------


def test_fetch(world: World) -> None:
    chunks = world.chunks()
    ids = [chunk.id for chunk in chunks]
    ids.insert(3, chunk_id(b"absent"))
    response = world.ask(
        "POST", "/v1/objects/fetch", content=encode_ids(Kind.CHUNK, ids), headers=IDS
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == FRAMES_TYPE
    reader = FrameReader(Kind.CHUNK, Singles(ids))
    answers = reader.feed(response.content)
    reader.finish()
    assert answers.pop(3) is Status.MISSING
    assert answers == chunks
    assert {chunk.codec for chunk in chunks} == {Codec.RAW, Codec.ZSTD}
    assert f"objects={len(chunks)} bytes={len(response.content)} " in world.lines[-1]
    assert "absent=1" in world.lines[-1]


def test_objects_below_an_outline_are_served(world: World) -> None:
    ids = [chunk_id(b"elsewhere")]
    body = encode_ids(Kind.CHUNK, ids)
    response = world.ask("POST", "/v1/objects/fetch", content=body, headers=IDS)
    (answer,) = FrameReader(Kind.CHUNK, Singles(ids)).feed(response.content)
    assert isinstance(answer, Packed)


def test_stat(world: World) -> None:
    chunks = world.chunks()
    ids = [chunks[0].id, chunk_id(b"absent"), chunks[-1].id]
    response = world.ask(
        "POST", "/v1/objects/stat", content=encode_ids(Kind.CHUNK, ids), headers=IDS
    )
    assert response.headers["content-type"] == SIZES_TYPE
    assert decode_sizes(Kind.CHUNK, 3, response.content) == [
        (chunks[0].length, len(chunks[0].payload)),
        None,
        (chunks[-1].length, len(chunks[-1].payload)),
    ]


@pytest.mark.parametrize("path", ["/v1/objects/fetch", "/v1/objects/stat"])
def test_bodies_without_ids_are_refused(world: World, path: str) -> None:
    good = encode_ids(Kind.CHUNK, [chunk_id(b"")])
    for body in (b"", b"{}", good[:-1], good + b"x", b"\0" * 44, good[:6] + b"\1" + good[7:]):
        problem(world.ask("POST", path, content=body, headers=IDS), 400, "usage")
    problem(world.ask("POST", path, content=good), 415, "usage")
    json_type = {"content-type": "application/json"}
    problem(world.ask("POST", path, content=good, headers=json_type), 415, "usage")
    problem(world.ask("POST", path, content=good + bytes(170_000), headers=IDS), 413, "usage")
    problem(world.ask("GET", path), 405, "usage")


def test_one_object(world: World) -> None:
    chunk = world.chunks()[0]
    url = f"/v1/objects/chunk/{chunk.id.hex()}"
    response = world.ask("GET", url)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["etag"] == f'"{chunk.id.hex()}"'
    reader = FrameReader(Kind.CHUNK, Singles([chunk.id]))
    assert reader.feed(response.content) == [chunk]
    reader.finish()

    head = world.ask("HEAD", url)
    assert head.headers["content-length"] == str(len(response.content))
    assert head.content == b""

    again = world.ask("GET", url, headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    manifest = world.ask("GET", f"/v1/objects/manifest/{world.new.hex()}")
    assert manifest.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_missing_object_is_404(world: World, method: str) -> None:
    for kind in ("chunk", "node", "manifest"):
        url = f"/v1/objects/{kind}/{chunk_id(b'absent').hex()}"
        response = world.ask(method, url, headers={"if-none-match": "*"})
        assert response.status_code == 404
    chunk = world.chunks()[0].id.hex()
    assert world.ask(method, f"/v1/objects/node/{chunk}").status_code == 404


@pytest.mark.parametrize(
    "ident",
    [
        "A" * 64,
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "%d9%a0" * 64,
        "%2e%2e",
        "%252e%252e",
        "0" * 63 + "%00",
        "0" * 64 + "%00",
        "0" * 64 + "%0a",
        "%5c" + "0" * 63,
        " " + "0" * 63,
        "0x" + "0" * 62,
    ],
)
def test_ids_are_strict(world: World, ident: str) -> None:
    problem(world.ask("GET", f"/v1/objects/chunk/{ident}"), 400, "usage")


def test_kinds_are_strict(world: World) -> None:
    for kind in ("chunks", "CHUNK", "1", "%00", "name"):
        problem(world.ask("GET", f"/v1/objects/{kind}/{'0' * 64}"), 400, "usage")


# -- Manifests and names --------------------------------------------------------------------------


def test_only_full_manifests_are_listed(world: World) -> None:
    page = decode_document(world.ask("GET", "/v1/manifests").content, ManifestPage)
    hashes = [item.hash for item in page.manifests]
    assert hashes == sorted(ident.hex() for ident in (world.old, world.new, world.empty))
    assert not page.more
    assert {item.length for item in page.manifests} == {0, 1000, len(DATA)}


def test_manifests_come_in_pages(world: World) -> None:
    seen: list[str] = []
    more = True
    while more:
        after = f"&after={seen[-1]}" if seen else ""
        response = world.ask("GET", f"/v1/manifests?limit=1{after}")
        page = decode_document(response.content, ManifestPage)
        seen += [item.hash for item in page.manifests]
        more = page.more
    assert seen == sorted(seen)
    assert len(seen) == 3
    for wrong in ("limit=0", "limit=1001", "limit=x"):
        problem(world.ask("GET", f"/v1/manifests?{wrong}"), 422, "usage")
    problem(world.ask("GET", "/v1/manifests?after=abc"), 400, "usage")


def test_a_manifest_is_bytes_or_json(world: World) -> None:
    for ref in (world.new.hex(), "images/vm", "images/vm@2", "images%2Fvm"):
        response = world.ask("GET", f"/v1/manifests/{ref}")
        assert response.headers["content-type"] == MANIFEST_TYPE
        assert manifest_id(response.content) == world.new
        assert response.headers["vary"] == "Accept"
        named = "images" in ref
        expected = "no-cache" if named else "public, max-age=31536000, immutable"
        assert response.headers["cache-control"] == expected

    response = world.ask("GET", "/v1/manifests/images/vm", headers={"accept": "application/json"})
    view = decode_document(response.content, ManifestView)
    assert (view.hash, view.length, view.created) == (world.new.hex(), len(DATA), 1_700_000_000)
    preferred = f"{MANIFEST_TYPE};q=0.9, application/json;q=0.5"
    response = world.ask("GET", "/v1/manifests/images/vm", headers={"accept": preferred})
    assert response.headers["content-type"] == MANIFEST_TYPE


def test_an_unchanged_manifest_is_304(world: World) -> None:
    first = world.ask("GET", "/v1/manifests/images/vm")
    tag = {"if-none-match": first.headers["etag"]}
    assert world.ask("GET", "/v1/manifests/images/vm", headers=tag).status_code == 304
    as_json = tag | {"accept": "application/json"}
    assert world.ask("GET", "/v1/manifests/images/vm", headers=as_json).status_code == 200
    head = world.ask("HEAD", "/v1/manifests/images/vm")
    assert head.headers["content-length"] == first.headers["content-length"]


@pytest.mark.parametrize("route", ["manifests", "files"])
def test_unknown_refs_are_404(world: World, route: str) -> None:
    for ref in ("nothing", "images/vm@3", "0" * 64, world.outline.hex()):
        document = problem(world.ask("GET", f"/v1/{route}/{ref}"), 404, "no-name")
        assert "casync ls" not in document.next_step
    # Prefixes are refused even if they match: they can be brute-forced.
    for ref in (
        world.new.hex()[:8],
        world.new.hex()[:63],
        "images/vm:inside",
        "a//b",
        "a/%2e%2e/b",
    ):
        problem(world.ask("GET", f"/v1/{route}/{ref}"), 400, "usage")
    for ref in ("%00", "a%1b", "a%5cb", "-", "a/%2e%2e/b"):
        problem(world.ask("GET", f"/v1/{route}/{ref}"), 400, "usage")


def test_names(world: World) -> None:
    page = decode_document(world.ask("GET", "/v1/names").content, NamePage)
    assert [(n.name, n.version, n.manifest) for n in page.names] == [
        ("grün & co", 1, world.empty.hex()),
        ("images/vm", 2, world.new.hex()),
    ]
    assert world.ask("GET", "/v1/names").headers["cache-control"] == "no-cache"
    only = decode_document(world.ask("GET", "/v1/names?prefix=im&limit=1").content, NamePage)
    assert [n.name for n in only.names] == ["images/vm"]
    first = decode_document(world.ask("GET", "/v1/names?limit=1").content, NamePage)
    assert first.more
    rest = world.ask("GET", "/v1/names", params={"after": first.names[0].name})
    assert [n.name for n in decode_document(rest.content, NamePage).names] == ["images/vm"]


def test_one_name_and_its_history(world: World) -> None:
    newest = decode_document(world.ask("GET", "/v1/names/images/vm").content, NameItem)
    assert (newest.version, newest.manifest) == (2, world.new.hex())
    assert world.ask("GET", "/v1/names/gr%C3%BCn%20%26%20co").status_code == 200
    for query in ("history", "history=1"):
        response = world.ask("GET", f"/v1/names/images/vm?{query}")
        history = decode_document(response.content, HistoryPage)
        assert [item.manifest for item in history.versions] == [world.old.hex(), world.new.hex()]
        assert not history.more
    response = world.ask("GET", "/v1/names/images/vm?history&after=1&limit=1")
    rest = decode_document(response.content, HistoryPage)
    assert [item.version for item in rest.versions] == [2]
    problem(world.ask("GET", "/v1/names/other"), 404, "no-name")
    first = decode_document(world.ask("GET", "/v1/names/images/vm@1").content, NameItem)
    assert (first.version, first.manifest) == (1, world.old.hex())
    problem(world.ask("GET", "/v1/names/images/vm@x"), 400, "usage")


# -- Operations -----------------------------------------------------------------------------------


def test_info(world: World) -> None:
    info = decode_document(world.ask("GET", "/v1/info").content, Info)
    assert (info.api, info.store) == (1, "an-id")
    assert info.program.startswith("casync")
    assert info.limits.batch_ids == 1024


def test_health_and_readiness() -> None:
    world = World()
    assert world.ask("GET", "/healthz").text == "ok\n"
    assert world.ask("GET", "/readyz").text == "ok\n"
    world.app.state.service.draining = True
    assert world.ask("GET", "/healthz").status_code == 200
    problem(world.ask("GET", "/readyz"), 503, "stopped")


def test_the_framework_answers_in_problems(world: World) -> None:
    problem(world.ask("GET", "/nope"), 404, "not-found")
    problem(world.ask("GET", "/v1/info/"), 404, "not-found")
    problem(world.ask("DELETE", "/v1/info"), 405, "usage")
    assert world.ask("DELETE", "/v1/info").headers["allow"] == "GET"


def test_openapi_is_complete(world: World) -> None:
    description = world.ask("GET", "/openapi.json").json()
    assert set(description["paths"]) == {
        "/v1/info",
        "/v1/manifests",
        "/v1/manifests/{ref}",
        "/v1/names",
        "/v1/names/{name}",
        "/v1/next/{name}",
        "/v1/trash",
        "/v1/trash/restore",
        "/v1/pushes",
        "/v1/pushes/{push}",
        "/v1/objects",
        "/v1/objects/fetch",
        "/v1/objects/stat",
        "/v1/objects/{kind}/{ident}",
        "/v1/archives/{ref}",
        "/v1/archives/{ref}/members",
        "/v1/archives/{ref}/index",
        "/v1/batch",
        "/v1/files/{ref}",
        "/v1/files/{ref}/-/{path}",
        "/v1/trees/{ref}/-/{path}",
        "/v1/jobs",
        "/v1/jobs/plan",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/errors",
        "/v1/jobs/{job}/events",
        "/v1/jobs/{job}/objects",
        "/v1/jobs/{job}/start",
        "/v1/jobs/{job}/stop",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    identifiers = []
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            identifiers.append(operation["operationId"])
            responses = operation["responses"]
            assert "application/problem+json" in responses["400"]["content"], path
            for answer in responses.values():
                assert answer["description"], (path, method)
            for body in responses["200"]["content"].values():
                assert body["schema"], (path, method)
    assert len(identifiers) == len(set(identifiers))
    body = description["paths"]["/v1/objects/fetch"]["post"]["requestBody"]
    assert body["content"][IDS_TYPE]["schema"]["format"] == "binary"
    file = description["paths"]["/v1/files/{ref}"]["get"]
    assert {"200", "206", "304", "404", "416", "500"} <= set(file["responses"])
    assert "Range" in {parameter["name"] for parameter in file["parameters"]}
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
    assert references == set(description["components"]["schemas"])


def test_every_route_is_listed_or_operational(world: World) -> None:
    listed = set(world.ask("GET", "/openapi.json").json()["paths"])
    paths = {re.sub(r":path", "", getattr(route, "path", "")) for route in world.app.routes}
    assert paths - listed <= {"/", "/docs", "/openapi.json", ""}


def test_manifests_are_full_hashes_only() -> None:
    store = MemoryStore()
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"x")
    store.commit(Batch(objects=[chunk]))
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    assert ask(app, "GET", f"/v1/manifests/{ManifestId(chunk.id).hex()}").status_code == 404


# -- What the protocol says of odd requests -------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "groups", "detail"),
    [(0, 1, "not the flag"), (1, 0, "in 0 groups"), (1, 1, "groups"), (2, 0, "unknown flags")],
)
def test_groups_and_their_flag_go_together(
    world: World, flags: int, groups: int, detail: str
) -> None:
    header = b"CASQ\1\1" + bytes([flags, 0, 1, 0, groups, 0])
    rows = b"\1\0\0\0" * (groups if flags else 0)  # one id without bases: no group at all
    body = header + rows + chunk_id(b"x")
    answer = world.ask("POST", "/v1/objects/fetch", content=body, headers=IDS)
    assert detail in problem(answer, 400, "usage").detail


def test_the_root_of_a_tree_has_a_slash(world: World) -> None:
    problem(world.ask("GET", "/v1/trees/images/vm/-"), 404, "not-found")
    problem(world.ask("GET", "/v1/trees/images/vm/-/"), 400, "usage")  # a file, not a folder


def test_an_encoded_slash_in_a_name_is_a_slash(world: World) -> None:
    assert world.ask("GET", "/v1/names/images%2Fvm").json()["name"] == "images/vm"
    for path in ("manifests", "files"):
        assert world.ask("GET", f"/v1/{path}/images%2Fvm").status_code == 200
