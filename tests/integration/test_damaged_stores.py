"""A damaged store leaves the service of healthy ones alone, and comes back when it is mended."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from casync.errors import DamagedStoreError
from casync.names.token import TokenScope
from casync.store.lmdb.namespaces import namespace_folder
from casync.store.lmdb.store import LmdbStore
from casync.store.lmdb.tokens import known_tokens
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages
from tests.support.serving import Server, serving, until
from tests.support.small_store import fill


class Stores(NamedTuple):
    """A store with two namespaces, which hold the same, and tokens for them.

    Attributes:
        path: Its folder.
        tokens: Tokens by namespace.
        data: The data file of each namespace.
        manifest: The hash of something in each of them.
    """

    path: Path
    tokens: dict[str, str]
    data: dict[str, bytes]
    manifest: str

    def file(self, namespace: str) -> Path:
        return namespace_folder(self.path, namespace) / "data.mdb"

    def mend(self, namespace: str) -> None:
        self.file(namespace).write_bytes(self.data[namespace])

    def ask(self, server: Server, namespace: str, path: str = "") -> tuple[int, str]:
        """Status and code of a request that reads an object; 0 if the connection broke."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        fields = {"Authorization": f"Bearer {self.tokens[namespace]}"}
        try:
            connection.request("GET", path or f"/v1/manifests/{self.manifest}", headers=fields)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()
        return answer.status, "" if answer.status == 200 else str(json.loads(body)["code"])


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    path = tmp_path / "store"
    manifest = next(iter(fill(path).manifests))
    with LmdbStore.open(path) as store:
        tokens = {
            namespace: store.tokens.issue(TokenScope.READ, namespace=namespace)[0]
            for namespace in ("", "ours", "theirs")
        }
    (path / "namespaces").mkdir(mode=0o700)
    for namespace in ("ours", "theirs"):
        fill(namespace_folder(path, namespace))
    data = {name: (namespace_folder(path, name) / "data.mdb").read_bytes() for name in tokens}
    return Stores(path, tokens, data, manifest.hex())


def cut(stores: Stores, namespace: str) -> None:
    """Cuts the file short where its index begins, which is read through LMDB's map."""
    data = stores.data[namespace]
    roots = {page.database: page.number for page in map_pages(data) if page.role == "root"}
    assert roots["main"] < roots["index"]
    with stores.file(namespace).open("r+b") as file:
        file.truncate(roots["index"] * PAGE_BYTES)


def test_a_namespace_on_which_workers_die_is_refused_until_its_file_changes(
    stores: Stores,
) -> None:
    with serving(stores.path, workers=2) as server:
        for number in range(3):
            assert stores.ask(server, "ours") == (200, "")
            cut(stores, "ours")
            # The worker that has it open dies; another one finds the damage when it opens it.
            until(lambda: stores.ask(server, "ours")[0] == 0, "a death")
            line = server.wait_for("while it used the store", number + 1)
            assert str(stores.path / "namespaces" / "ours") in line
            assert "killed by SIGBUS" in line
            if number < 2:
                assert stores.ask(server, "theirs") == (200, "")
                stores.mend("ours")
        assert "casync verify --store" in line
        refused = (500, "damaged-store")  # once the other worker is replaced, too
        until(lambda: stores.ask(server, "ours") == refused, "the refusal")
        until(lambda: stores.ask(server, "theirs") == (200, ""), "the other namespace")
        until(lambda: stores.ask(server, "") == (200, ""), "the default store")
        stores.mend("ours")
        until(lambda: stores.ask(server, "ours") == (200, ""), "the mended namespace")
        assert server.stop() == 0


def zero(stores: Stores, namespace: str, database: str) -> None:
    """Zeroes the first page of a database."""
    pages = map_pages(stores.data[namespace])
    (root,) = (p.number for p in pages if p.role == "root" and p.database == database)
    with stores.file(namespace).open("r+b") as file:
        file.seek(root * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


@pytest.mark.parametrize("writable", [False, True])
def test_namespaces_are_served_beside_a_damaged_default_store(
    stores: Stores, writable: bool
) -> None:
    zero(stores, "", "index")
    with serving(stores.path, writable=writable) as server:
        assert any("damaged-store" in line for line in server.lines)
        for path in ("", "/readyz", "/metrics", "/v1/names", "/v1/info"):
            assert stores.ask(server, "", path) in {(500, "damaged-store"), (403, "denied")}
        assert stores.ask(server, "ours") == (200, "")
        assert stores.ask(server, "ours", "/v1/info") == (200, "")
        assert stores.ask(server, "", "/healthz") == (200, "")
        stores.mend("")
        until(lambda: stores.ask(server, "") == (200, ""), "the mended store")
        assert stores.ask(server, "ours") == (200, "")
        assert server.stop() == 0


def test_damage_of_the_tokens_admits_nobody(stores: Stores) -> None:
    for database in ("tokens", "meta", "namespace_tokens"):
        stores.mend("")
        zero(stores, "", database)
        with pytest.raises(DamagedStoreError):
            known_tokens(stores.path)
        with serving(stores.path) as server:
            for namespace in ("", "ours"):
                assert stores.ask(server, namespace) == (500, "damaged-store")
            assert server.stop() == 0


def test_a_damaged_namespace_is_refused_and_the_server_starts(stores: Stores) -> None:
    zero(stores, "ours", "names")
    with serving(stores.path) as server:
        assert stores.ask(server, "ours") == (500, "damaged-store")
        assert stores.ask(server, "theirs") == (200, "")
        assert stores.ask(server, "", "/readyz") == (200, "")
        stores.mend("ours")
        assert stores.ask(server, "ours") == (200, "")
