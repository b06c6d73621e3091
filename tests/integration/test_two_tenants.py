"""The content of one namespace does not affect answers to another: status, fields, body, size.

Two stores are made with one tenant each, the same to the byte; then only one of them gets content
of others, in the default namespace and in one more. The tenant asks both for everything that a
route can be asked for, with the ids, names, pushes and ETags of the others, and gets the same
answers. The store of others is not even looked at, so there is nothing in the time, either.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import httpx
import pytest
from casync_server.access.auth import OPEN_PATHS
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI
from fastapi.routing import APIRoute

from casync.ids import Kind, ManifestId
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.names.token import TokenScope
from casync.objects.codec import Verified
from casync.objects.delta import Group
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.namespaces import open_namespace
from casync.store.lmdb.store import LmdbStore
from casync.wire.requests import IDS_TYPE, encode_groups, encode_ids
from casync.wire.uploads import OBJECTS_TYPE, encode_upload
from tests.contract.store_contract import noise
from tests.support.program import Program
from tests.support.serving import ask, serving
from tests.support.small_store import content

SECRET: tuple[ManifestId, list[Verified]] = content([noise(3000, n) for n in range(40)])
"""Content of others, whose ids the tenant knows."""

OWN: tuple[ManifestId, list[Verified]] = content([noise(3000, n) for n in range(100, 140)])
NAME = "secret/plans"
HASH, PLAIN_LENGTH = SECRET[0].hex(), 40 * 3000
IDS = {kind: [item.id for item in SECRET[1] if item.kind is kind] for kind in Kind}
OWN_IDS = [item.id for item in OWN[1] if item.kind is Kind.CHUNK]


def put(store: LmdbStore, what: tuple[ManifestId, list[Verified]], name: str) -> None:
    ident, packed = what
    store.commit(Batch(objects=packed, manifests=[(ident, ManifestState.FULL, PLAIN_LENGTH)]))
    store.set_name(NameUpdate(parse_name(name), ident))


class Nothing:
    """Replaces the store of the default namespace; any access fails the test."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"the store of others was asked for {name}")


class Tenant(NamedTuple):
    """One server, and the tenant's tokens for it."""

    app: FastAPI
    tokens: dict[TokenScope, str]
    pushes: list[str]

    def ask(
        self, method: str, url: str, level: TokenScope = TokenScope.ADMIN, **arguments: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[level]}"} | arguments.pop("headers", {})
        return ask(self.app, method, url, headers=headers, **arguments)

    def push(self) -> str:
        """Opens a push, whose id is masked in comparisons."""
        push = str(self.ask("POST", "/v1/pushes").json()["push"])
        self.pushes.append(push)
        return push


class Tenants:
    """The two servers, and another tenant's push on one of them."""

    def __init__(self, folder: Path) -> None:
        first, alone, shared = folder / "first", folder / "alone", folder / "shared"
        with LmdbStore.open(first, create=True) as store:
            open_namespace(first, "tenant", create=True).close()
            tokens = {
                level: store.tokens.issue(level, namespace="tenant")[0] for level in TokenScope
            }
        with open_namespace(first, "tenant") as tenant:
            put(tenant, OWN, "own")
        shutil.copytree(first, alone)
        shutil.copytree(first, shared)
        self.stores = [LmdbStore.open(path) for path in (alone, shared)]
        others = open_namespace(shared, "others", create=True)
        for store in (self.stores[1], others):
            put(store, SECRET, NAME)
        self.foreign_push = others.pushes.begin().hex()
        others.close()
        self.alone, self.shared = (self._tenant(store, tokens) for store in self.stores)

    def _tenant(self, store: LmdbStore, tokens: dict[TokenScope, str]) -> Tenant:
        nothing: Any = Nothing()
        settings = ServerSettings(disk_spare=0)
        app = create_app(nothing, settings, writable=nothing, local=store, sink=lambda _: None)
        return Tenant(app, tokens, [])

    def close(self) -> None:
        for tenant, store in zip((self.alone, self.shared), self.stores, strict=True):
            for each in tenant.app.state.service.stores():
                each.close()
            store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Tenants]:
    world = Tenants(tmp_path)
    yield world
    world.close()


def shown(tenant: Tenant, answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs between any two servers: push ids and seconds."""
    body = answer.content
    for push in tenant.pushes:
        body = body.replace(push.encode(), b"PUSH")
    body = re.sub(rb'("(?:created|removed)":)\d+', rb"\1 0", body)
    return answer.status_code, sorted(answer.headers.items()), body


Request = tuple[str, str, dict[str, Any]]


def ids_body(body: bytes) -> dict[str, Any]:
    return {"content": body, "headers": {"content-type": IDS_TYPE}}


def requests(push: str, foreign_push: str) -> Iterator[Request]:
    """Requests of the tenant for everything of others. PUSH is replaced by a push id."""
    etag = {"headers": {"if-none-match": f'"{HASH}"'}}
    ranged = {"headers": {"range": "bytes=5-9"}}
    for path in ("/v1/info", "/docs", "/openapi.json", "/metrics", "/v1/trash"):
        yield "GET", path, {}
    for path in ("/v1/manifests", f"/v1/manifests?after={HASH[:62]}00", "/v1/names"):
        yield "GET", path, {}
    yield "GET", "/v1/names?prefix=secret", {}
    for ref in (HASH, "secret%2Fplans", "secret%2Fplans@1"):
        for method in ("GET", "HEAD"):
            for extra in ({}, etag, ranged, {"headers": {"accept": "application/json"}}):
                yield method, f"/v1/manifests/{ref}", extra
                yield method, f"/v1/files/{ref}", extra
                yield method, f"/v1/files/{ref}/-/a", extra
        yield "GET", f"/v1/trees/{ref}/-/a", {}
    for label in ("secret%2Fplans", "secret%2Fplans@1", "secret%2Fplans?history"):
        yield "GET", f"/v1/names/{label}", {}
    yield "GET", "/v1/next/secret%2Fplans", {}
    for kind in Kind:
        ident = IDS[kind][0].hex()
        for method in ("GET", "HEAD"):
            for extra in ({}, {"headers": {"if-none-match": f'"{ident}"'}}):
                yield method, f"/v1/objects/{kind.name.lower()}/{ident}", extra
        body = encode_ids(kind, IDS[kind])
        yield "POST", "/v1/objects/fetch", ids_body(body)
        yield "POST", "/v1/objects/stat", ids_body(body)
        yield "POST", f"/v1/objects/stat?push={push}", ids_body(body)
        yield "POST", f"/v1/objects/stat?push={foreign_push}", ids_body(body)
    chunks = IDS[Kind.CHUNK]
    for group in (Group((OWN_IDS[0],), (chunks[0],)), Group((chunks[0],), (OWN_IDS[0],))):
        yield "POST", "/v1/objects/fetch", ids_body(encode_groups(Kind.CHUNK, [group]))
    change = {"manifest": HASH}
    for given in ("", f"?push={push}", f"?push={foreign_push}"):
        yield "PUT", f"/v1/manifests/{HASH}{given}", {}
        yield "PUT", f"/v1/names/mine{given}", {"json": change}
    yield "PUT", "/v1/names/secret%2Fplans", {"json": change, "headers": {"if-match": '"1"'}}
    for path in ("/v1/trash", "/v1/trash/restore"):
        for refs in ([HASH], [NAME], ["own", NAME]):
            yield "POST", path, {"json": {"refs": refs}}
    yield "DELETE", "/v1/names/secret%2Fplans", {}
    sent = {"headers": {"content-type": OBJECTS_TYPE}}
    body = b"".join(encode_upload(SECRET[1][:3]))
    yield "POST", f"/v1/objects?push={foreign_push}", {"content": body, **sent}
    yield "POST", "/v1/pushes", {}


def fits(route: APIRoute, method: str, url: str) -> bool:
    path = httpx.URL(f"http://x{url}").path
    return method in (route.methods or set()) and route.path_regex.match(path) is not None


def test_foreign_content_is_answered_like_missing_content(world: Tenants) -> None:
    push, other = world.alone.push(), world.shared.push()
    pairs = zip(
        requests(push, world.foreign_push), requests(other, world.foreign_push), strict=True
    )
    asked: list[tuple[str, str]] = []
    for (method, url, one), (_, url_too, two) in pairs:
        if url == "/v1/pushes":
            world.alone.push(), world.shared.push()
        else:
            left = shown(world.alone, world.alone.ask(method, url, **one))
            right = shown(world.shared, world.shared.ask(method, url_too, **two))
            assert left == right, (method, url)
            assert left[0] != 500, (method, url, left)
        asked.append((method, url))
    for route in world.shared.app.routes:  # a new route must be added here, too
        if isinstance(route, APIRoute) and route.path not in OPEN_PATHS:
            for method in route.methods or ():
                assert any(fits(route, method, url) for _, url in asked if _ == method), route.path


def test_a_manifest_may_name_only_what_its_namespace_has(world: Tenants) -> None:
    """Without one of its chunks it is refused alike, and the missing one must be sent in full."""
    ident, packed = SECRET
    lost = next(item for item in packed if item.kind is Kind.CHUNK)
    sent = b"".join(encode_upload([item for item in packed if item is not lost]))
    headers = {"content-type": OBJECTS_TYPE}
    answers: list[list[tuple[int, list[tuple[str, str]], bytes]]] = []
    for tenant in (world.alone, world.shared):
        push = tenant.push()
        url = f"/v1/objects?push={push}"
        names = f"/v1/names/mine?push={push}"
        got = [
            tenant.ask("POST", url, TokenScope.WRITE, content=sent, headers=headers),
            tenant.ask("PUT", names, TokenScope.WRITE, json={"manifest": ident.hex()}),
            tenant.ask(
                "POST",
                url,
                TokenScope.WRITE,
                content=b"".join(encode_upload([lost])),
                headers=headers,
            ),
            tenant.ask("PUT", names, TokenScope.WRITE, json={"manifest": ident.hex()}),
            tenant.ask(
                "POST",
                "/v1/objects/stat",
                TokenScope.READ,
                **ids_body(encode_ids(lost.kind, [lost.id])),
            ),
            tenant.ask("GET", f"/v1/files/{ident.hex()}", TokenScope.READ),
        ]
        answers.append([shown(tenant, answer) for answer in got])
    alone, shared = answers
    assert alone == shared
    assert [status for status, _, _ in shared] == [200, 409, 200, 200, 200, 200]
    assert lost.id.hex().encode() in shared[1][2]
    assert b'"taken":1,"known":0' in shared[2][2]
    assert struct.unpack_from("<I", shared[4][2])[0] == lost.length
    assert len(shared[5][2]) == PLAIN_LENGTH


def test_the_stores_of_others_are_not_opened(world: Tenants) -> None:
    world.shared.ask("GET", f"/v1/manifests/{HASH}")
    opened = [store.path.name for store in world.shared.app.state.service.stores()]
    assert opened == ["tenant"]


def test_metrics_of_a_namespace_cover_only_that_namespace(world: Tenants) -> None:
    text = world.shared.ask("GET", "/metrics").text
    assert "casync_store_manifests 1.0" in text
    assert "casync_requests" not in text


def test_tenants_on_the_command_line(tmp_path: Path) -> None:
    """Two tenants push and pull on one server; each sees only its own, the store sees neither."""
    program = Program(tmp_path)
    program.good("prepare", "--name", "base", stdin=b"for all who have the store")
    for tenant in ("acme", "zeta"):
        arguments = ("--scope", "write", "--namespace", tenant)
        (tmp_path / tenant).write_bytes(program.good("token", "new", *arguments).out)
    listed = [line.split("\t")[7] for line in program.good("token", "ls").lines]
    assert sorted(listed) == ["acme", "zeta"]
    (tmp_path / "local").mkdir()
    local = Program(tmp_path / "local")
    ident = local.good("prepare", "--name", "vm", stdin=noise(200_000, 1)).lines[0]
    acme, zeta = (("--token-file", str(tmp_path / tenant)) for tenant in ("acme", "zeta"))
    with serving(program.store, writable=True, workers=2) as server:
        url = ("--server", server.url)
        local.good("push", "vm", *url, *acme)
        assert local.run("pull", ident, "-o", "x", *url, *zeta, "--store", "new").status == 9
        assert local.good("ls", *url, *zeta).lines == []
        local.good("push", "vm", *url, *zeta)
        for token in (acme, zeta):
            local.good("pull", "vm", "-o", "x", *url, *token, "--store", "new")
            assert (tmp_path / "local" / "x").read_bytes() == noise(200_000, 1)
            (tmp_path / "local" / "x").unlink()
    assert "base" in program.good("ls").text
    assert "vm" not in program.good("ls").text
    inside = ("--store", str(program.store / "namespaces" / "acme"))
    assert "vm" in program.good("ls", *inside).text
    program.good("verify", *inside)
    program.good("gc", *inside)
    program.good("store", "backup", "copy")
    copied = ("--store", str(tmp_path / "copy" / "namespaces" / "zeta"))
    assert program.good("verify", *copied).status == 0
    assert program.run("token", "new", "--namespace", "../up").status == 2


def test_a_quota_limits_writes_and_never_blocks_removal(tmp_path: Path) -> None:
    """507 at the server, exit status 6 at the client; another namespace goes on."""
    program = Program(tmp_path)
    program.good("prepare", stdin=b"the store itself")
    tokens = {}
    for tenant, quota in (("small", "300KiB"), ("large", "0")):
        arguments = ("--scope", "admin", "--namespace", tenant, "--quota", quota)
        tokens[tenant] = ("--token-file", str(tmp_path / tenant))
        (tmp_path / tenant).write_bytes(program.good("token", "new", *arguments).out)
    (tmp_path / "local").mkdir()
    local = Program(tmp_path / "local")
    for number in range(2):
        local.good("prepare", "--name", f"vm{number}", stdin=noise(200_000, number))
    with serving(program.store, writable=True) as server:
        url = ("--server", server.url)
        local.good("push", "vm0", *url, *tokens["small"])
        refused = local.run("push", "vm1", *url, *tokens["small"])
        assert refused.status == 6
        assert "quota of 300 KiB" in refused.err
        local.good("push", "vm1", *url, *tokens["large"])
        metrics = httpx.get(
            f"{server.url}/metrics",
            headers={"Authorization": f"Bearer {(tmp_path / 'small').read_text().strip()}"},
        )
        assert "casync_store_quota_bytes 307200.0" in metrics.text
        local.good("pull", "vm0", "-o", "x", *url, *tokens["small"], "--store", "new")
        local.good("rm", "vm0", *url, *tokens["small"])
        assert local.run("push", "vm1", *url, *tokens["small"]).status == 6  # still in the trash
    with open_namespace(program.store, "small") as store:
        collect(store, CollectOptions(0))
    with serving(program.store, writable=True) as server:
        local.good("push", "vm1", "--server", server.url, *tokens["small"])
