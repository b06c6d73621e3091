"""Tokens on a real server: nothing is answered without one, and each allows what it should."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from casync_server.access.auth import OPEN_PATHS, level_needed
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi.routing import APIRoute

from casync.ids import ManifestId
from casync.names.token import TokenScope
from casync.store.lmdb.namespaces import establish
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.serving import READY_SECONDS, Server, put_file, serving

DATA = bytes(range(256)) * 40
READ, WRITE, JOBS, ADMIN = TokenScope

NEEDED = {
    ("GET", "/v1/info"): READ,
    ("GET", "/v1/manifests"): READ,
    ("GET", "/v1/manifests/{ref}"): READ,
    ("PUT", "/v1/manifests/{ref}"): WRITE,
    ("GET", "/v1/names"): READ,
    ("GET", "/v1/names/{name}"): READ,
    ("PUT", "/v1/names/{name}"): WRITE,
    ("DELETE", "/v1/names/{name}"): ADMIN,
    ("GET", "/v1/trash"): ADMIN,
    ("POST", "/v1/trash"): ADMIN,
    ("POST", "/v1/trash/restore"): ADMIN,
    ("POST", "/v1/objects/fetch"): READ,
    ("POST", "/v1/objects/stat"): READ,
    ("GET", "/v1/objects/{kind}/{ident}"): READ,
    ("POST", "/v1/pushes"): WRITE,
    ("GET", "/v1/pushes"): ADMIN,
    ("DELETE", "/v1/pushes/{push}"): WRITE,
    ("POST", "/v1/objects"): WRITE,
    ("GET", "/v1/next/{name}"): READ,
    ("GET", "/v1/archives/{ref}"): READ,
    ("GET", "/v1/archives/{ref}/members"): READ,
    ("GET", "/v1/archives/{ref}/index"): READ,
    ("POST", "/v1/batch"): READ,
    ("GET", "/v1/files/{ref}"): READ,
    ("GET", "/v1/files/{ref}/-/{path}"): READ,
    ("GET", "/v1/trees/{ref}/-/{path}"): READ,
    ("POST", "/v1/jobs"): JOBS,
    ("POST", "/v1/jobs/plan"): JOBS,
    ("GET", "/v1/jobs"): JOBS,
    ("GET", "/v1/jobs/{job}"): JOBS,
    ("DELETE", "/v1/jobs/{job}"): JOBS,
    ("POST", "/v1/jobs/{job}/stop"): JOBS,
    ("POST", "/v1/jobs/{job}/start"): JOBS,
    ("GET", "/v1/jobs/{job}/errors"): JOBS,
    ("GET", "/v1/jobs/{job}/events"): JOBS,
    ("POST", "/v1/jobs/{job}/objects"): JOBS,
    ("GET", "/metrics"): ADMIN,
    ("GET", "/docs"): READ,
    ("GET", "/"): READ,  # but for the page that browsers get
    ("GET", "/openapi.json"): READ,
    ("GET", "/healthz"): None,
    ("GET", "/jobs"): None,
    ("GET", "/readyz"): None,
}
"""Every route with its level; a route that is missing here fails the test below."""


class GuardedServer:
    """A store with names and tokens of each kind, and a server over it."""

    def __init__(self, path: Path) -> None:
        with LmdbStore.open(path, create=True) as store:
            self.manifest: ManifestId = put_file(store, DATA, name="mine/a")
            put_file(store, DATA[::-1], name="other/b")
            self.tokens = {level: store.tokens.issue(level)[0] for level in TokenScope}
            self.mine, self.row = store.tokens.issue(WRITE, ["mine/"])
            self.late, _ = store.tokens.issue(READ, expires=int(time.time()) - 1)
        self.path = path
        self.server: Server

    def ask(self, method: str, path: str, token: str = "", **arguments: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, f"{self.server.url}{path}", headers=headers, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    world = GuardedServer(tmp_path_factory.mktemp("tokens") / "store")
    with serving(world.path, writable=True, workers=2) as server:
        world.server = server
        yield world


def routes(path: Path) -> set[tuple[str, str]]:
    with LmdbStore.open(path, read_only=True) as store:
        app = create_app(store, ServerSettings())
    found = {("GET", "/openapi.json")}
    for route in app.routes:
        if isinstance(route, APIRoute):
            found |= {(method, route.path_format) for method in (route.methods or set()) - {"HEAD"}}
    return found


def concrete(path: str) -> str:
    for field, value in (
        ("{ref}", "0" * 64),
        ("{push}", "0" * 32),
        ("{name}", "mine%2Fa"),
        ("{kind}", "chunk"),
        ("{ident}", "0" * 64),
        ("{path}", "x"),
        ("{job}", "dnl-000000000"),
    ):
        path = path.replace(field, value)
    return path


def test_every_route_has_a_level(world: GuardedServer) -> None:
    found = routes(world.path)
    assert found <= set(NEEDED)
    for method, path in found:
        if path in OPEN_PATHS:
            assert NEEDED[method, path] is None
        else:
            assert level_needed(method, path) == NEEDED[method, path]


def test_the_description_of_each_route_says_its_level(world: GuardedServer) -> None:
    paths = world.ask("GET", "/openapi.json", world.tokens[READ]).json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            level = NEEDED[method.upper(), path]
            said = (
                f"Where tokens are required, it needs one of the scope `{level.name.lower()}`."
                if level
                else ""
            )
            assert operation["description"].endswith(said)
            assert ("Where tokens are required" in operation["description"]) == bool(said)


def test_nothing_is_answered_without_a_token(world: GuardedServer) -> None:
    paths = [(method, concrete(path)) for method, path in routes(world.path)]
    for method, path in [*paths, ("GET", "/"), ("GET", "/nope"), ("PATCH", "/v1/names")]:
        for token in ("", "x", f"cas1_{'a' * 8}_{'b' * 43}", world.late, world.mine[:-1] + "!"):
            answer = world.ask(method, path, token)
            if path in OPEN_PATHS:
                assert answer.status_code == 200
                continue
            assert answer.status_code == 401, (method, path, token)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["code"] == "denied"


def test_a_browser_sees_the_front_page_without_a_token(world: GuardedServer) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    page = httpx.get(f"{world.server.url}/", headers=browser)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "public, max-age=3600"
    assert "other/b" not in page.text
    assert world.manifest.hex() not in page.text
    for method, path in (("GET", "/docs"), ("GET", "/v1/names"), ("POST", "/"), ("GET", "//")):
        answer = httpx.request(method, f"{world.server.url}{path}", headers=browser)
        assert answer.status_code == 401, (method, path)


def test_a_token_opens_its_level_and_no_more(world: GuardedServer) -> None:
    for (method, path), needed in NEEDED.items():
        if needed is None or (method, path) not in routes(world.path):
            continue
        for level in TokenScope:
            answer = world.ask(method, concrete(path), world.tokens[level])
            refused = answer.status_code == 403 and "level" in answer.json()["detail"]
            assert refused == (level < needed), (method, path, level)
            assert answer.status_code != 401


def test_immutable_answers_are_private_if_tokens_are_required(world: GuardedServer) -> None:
    policies = {
        f"/v1/manifests/{world.manifest.hex()}": "private, max-age=31536000, immutable",
        f"/v1/files/{world.manifest.hex()}": "private, max-age=31536000, immutable",
        f"/v1/objects/manifest/{world.manifest.hex()}": "private, max-age=31536000, immutable",
        "/v1/manifests/mine/a": "no-cache",
        "/v1/files/mine/a": "no-cache",
        "/v1/names/mine/a": "no-cache",
        "/v1/names": "no-cache",
        "/v1/manifests": "no-cache",
        "/v1/info": "no-cache",
        "/v1/names/none": "no-store",
    }
    for path, policy in policies.items():
        answer = world.ask("GET", path, world.tokens[READ])
        assert answer.headers["cache-control"] == policy, path
        assert "Authorization" in answer.headers["vary"]


def test_a_token_that_is_bound_to_names_sees_no_others(world: GuardedServer) -> None:
    names = world.ask("GET", "/v1/names", world.mine).json()["names"]
    assert [item["name"] for item in names] == ["mine/a"]
    assert world.ask("GET", "/v1/manifests", world.mine).json()["manifests"] == []
    assert world.ask("GET", "/v1/files/mine%2Fa", world.mine).content == DATA
    for name, status in (("mine/a", 200), ("other/b", 404), ("other/c", 404)):
        batch = {"in": [{"objname": "mine/a"}, {"objname": name}]}
        assert world.ask("POST", "/v1/batch", world.mine, json=batch).status_code == status
    hidden = world.ask("GET", "/v1/files/other%2Fb", world.mine)
    absent = world.ask("GET", "/v1/files/other%2Fc", world.mine)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("other/b", "") == absent.text.replace("other/c", "")
    for path in ("/v1/names/other%2Fb", "/v1/names/other%2Fb?history"):
        assert world.ask("GET", path, world.mine).status_code == 404
    assert world.ask("GET", "/v1/next/mine%2Fa", world.mine).status_code == 200
    assert world.ask("GET", "/v1/next/other%2Fb", world.mine).status_code == 403
    change = {"manifest": world.manifest.hex()}
    for name, status in (("mine%2Fnew", 200), ("other%2Fb", 403), ("other%2Fnew", 403)):
        answer = world.ask("PUT", f"/v1/names/{name}", world.mine, json=change)
        assert answer.status_code == status, answer.text


def test_the_log_says_which_token(world: GuardedServer) -> None:
    world.server.mark()
    world.ask("GET", "/v1/info", world.mine)
    line = world.server.wait_for("/v1/info")
    assert f"token={world.row.id}" in line
    assert not any(world.mine[14:] in line for line in world.server.lines)


def test_changes_are_audited(world: GuardedServer, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with serving(world.path, writable=True, audit_log=str(log)) as server:

        def ask(method: str, path: str, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.request(method, f"{server.url}{path}", headers=headers).status_code

        assert ask("GET", "/v1/names", world.mine) == 200
        assert ask("POST", "/v1/pushes", world.mine) == 200
        assert ask("DELETE", "/v1/names/mine%2Fa", world.mine) == 403
        log.rename(tmp_path / "old")
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + READY_SECONDS
        while not log.exists():
            assert time.monotonic() < deadline
        assert ask("POST", "/v1/pushes", world.tokens[READ]) == 403
        assert server.stop() == 0
    old = [json.loads(line) for line in (tmp_path / "old").read_text().splitlines()]
    assert [(line["path"], line["status"], line["token"]) for line in old] == [
        ("/v1/pushes", 200, world.row.id),
        ("/v1/names/mine%2Fa", 403, world.row.id),
    ]
    assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == [403]
    assert log.stat().st_mode & 0o777 == 0o600


def test_all_workers_notice_a_revoked_token(world: GuardedServer) -> None:
    with LmdbStore.open(world.path) as store:
        text, row = store.tokens.issue(READ)
        deadline = time.monotonic() + READY_SECONDS
        while world.ask("GET", "/v1/info", text).status_code != 200:
            assert time.monotonic() < deadline
        store.tokens.revoke(row.id)
        while True:  # a connection each, so both workers are asked
            if {world.ask("GET", "/v1/info", text).status_code for _ in range(20)} == {401}:
                break
            assert time.monotonic() < deadline


def test_a_new_token_is_known_at_once(tmp_path: Path) -> None:
    """The first one, too: if it were ignored, the request would use the default namespace."""
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        put_file(store, DATA, name="default")
    with serving(tmp_path / "store", writable=True) as server:
        assert httpx.get(f"{server.url}/v1/names").json()["names"]
        time.sleep(0.2)  # more than the interval for unknown tokens, less than for known ones
        with LmdbStore.open(tmp_path / "store") as store:
            establish(store, "acme")
            token, _ = store.tokens.issue(READ, namespace="acme")
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{server.url}/v1/names", headers=headers).json()["names"] == []
        assert httpx.get(f"{server.url}/v1/names").status_code == 401


def test_the_command_line(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.good("prepare", "--name", "x", stdin=b"content")
    refused = program.run("serve", "--listen", "0.0.0.0:0")
    assert refused.status == 2
    assert "casync token new" in refused.err
    made = program.good("token", "new", "--note", "laptop")
    (token,) = made.lines
    assert "require a token from now on" in made.err
    (tmp_path / "token").write_text(token + "\n")
    (listed,) = [line.split("\t") for line in program.good("token", "ls").lines]
    assert listed[1:3] == ["read", "good"]
    assert listed[6] == "laptop"
    with serving(program.store) as server:
        url = server.url
        denied = program.run("pull", "x", "-o", "out", "--server", url)
        assert denied.status == 8
        assert "--token-file" in denied.err
        program.good("pull", "x", "-o", "out", "--server", url, "--token-file", "token")
        assert (tmp_path / "out").read_bytes() == b"content"
        assert program.good("token", "revoke", listed[0]).lines == [listed[0]]
        deadline = time.monotonic() + READY_SECONDS
        while program.run("ls", "--server", url, "--token-file", "token").status != 8:
            assert time.monotonic() < deadline
    assert program.run("token", "revoke", "nobody00").status == 9
    assert program.run("token", "new", "--scope", "root").status == 2
    assert program.run("token", "new", "--scope", "admin", "--names", "x").status == 2


def test_a_token_over_its_rate_limit_gets_a_time_to_retry_after(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        greedy, modest = (store.tokens.issue(READ)[0] for _ in range(2))
    settings = {"client_rate": 0.02, "client_burst": 3, "client_wait": 0}
    with serving(tmp_path / "store", settings) as server:

        def ask(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.get(f"{server.url}/v1/info", headers=headers)

        assert [ask(greedy).status_code for _ in range(3)] == [200] * 3
        refused = ask(greedy)
        assert refused.status_code == 429
        assert "rate limit reached" in refused.json()["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 50
        assert ask(modest).status_code == 429  # the address is over its limit, too
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_the_first_token_opens_the_server_to_every_host_without_a_restart(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store, serving(store.path) as server:
        ask = httpx.Client(base_url=server.url, headers={"Host": "chunks.example.com"})
        assert ask.get("/v1/info").status_code == 403
        token, _ = store.tokens.issue(READ)
        deadline = time.monotonic() + READY_SECONDS
        while (refused := ask.get("/v1/info").status_code) == 403 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert refused == 401
        assert ask.get("/v1/info", headers={"Authorization": f"Bearer {token}"}).is_success
        ask.close()
