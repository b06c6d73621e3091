"""Pushes that end without publishing: for want of room, by their owner, or by an administrator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from casync.store.lmdb.namespaces import open_namespace
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise
from tests.support.program import Program
from tests.support.serving import Server, serving

DATA = noise(2_000_000, 5)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "here").mkdir()
    program = Program(tmp_path / "here")
    program.good("prepare", "--name", "vm", stdin=DATA)
    return program


@pytest.fixture
def there(tmp_path: Path) -> Path:
    LmdbStore.open(tmp_path / "there", create=True).close()
    return tmp_path / "there"


@pytest.fixture
def server(there: Path) -> Iterator[Server]:
    with serving(there, {"disk_spare": 0}, writable=True) as server:
        yield server


def test_a_push_that_finds_no_room_holds_nothing(
    program: Program, server: Server, there: Path
) -> None:
    program.good("prepare", "--name", "small", stdin=DATA[:100_000])
    program.good("push", "small", "--server", server.url)
    with LmdbStore.open(there) as store:
        store.set_quota(1_000_000)
    program.good("push", "vm", "--part", "1/4", "--server", server.url)
    assert program.run("push", "vm", "--server", server.url).status == 6
    done = program.good("gc", "--window", "0", "--json", "--store", there).document
    assert len(done["pushes"]) == 1  # that of the part alone
    done = program.good("gc", "--window", "0", "--drop-pushes", "--json", "--store", there).document
    assert done["objects"] > 0
    program.good("push", "vm", "--part", "1/4", "--server", server.url)
    assert program.good("cat", "small", "--server", server.url).out == DATA[:100_000]


def test_gc_says_what_open_pushes_keep_and_ends_them_on_request(
    program: Program, server: Server, there: Path
) -> None:
    sent = program.good("push", "vm", "--part", "1/2", "--json", "--server", server.url).document
    kept = program.good("gc", "--window", "0", "--store", there)
    assert f"kept for 1 open push: {sent['new']} objects" in kept.err
    assert re.search(r"last heard of 20\d\d-\S+Z\. `casync gc --drop-pushes` ends", kept.err)
    document = program.good("gc", "--window", "0", "--json", "--store", there).document
    assert (document["objects"], document["held"]) == (0, sent["new"])
    assert document["held_stored"] >= sent["payload"]
    assert [sorted(push) for push in document["pushes"]] == [["heard", "push"]]
    gone = program.good("gc", "--window", "0", "--drop-pushes", "--json", "--store", there).document
    assert gone["objects"] == sent["new"]
    assert program.good("gc", "--json", "--store", there).document["pushes"] == []


def test_a_push_that_was_dropped_in_the_middle_starts_again(
    program: Program, server: Server, there: Path
) -> None:
    slow = program.start("push", "vm", "--limit", "1M", "--server", server.url)
    server.wait_for("POST /v1/objects?push=")
    program.good("gc", "--window", "0", "--drop-pushes", "--store", there)
    _, err = slow.communicate(timeout=120)
    assert slow.returncode == 0, err
    program.good("gc", "--window", "0", "--drop-pushes", "--store", there)
    assert program.good("cat", "vm", "--server", server.url).out == DATA


def test_a_server_lists_and_ends_pushes_for_administrators_and_owners(
    program: Program, there: Path
) -> None:
    with LmdbStore.open(there) as store:
        tokens = {}
        for scope in ("write", "admin"):
            for space in ("", "tenant"):
                arguments = ("--scope", scope, *(("--namespace", space) if space else ()))
                made = program.good("token", "new", *arguments, "--store", there)
                tokens[scope, space] = made.lines[0]
    with serving(there, {"disk_spare": 0}, writable=True) as server:

        def push(*arguments: str, scope: str, space: str) -> list[str]:
            token = tokens[scope, space]
            url = ("--server", server.url, "--json")
            ran = program.run("push", *arguments, *url, CASYNC_TOKEN=token)
            if ran.status:
                return [str(ran.problem["code"])]
            return [each["push"] for each in ran.document.get("pushes", ())]

        for space in ("", "tenant"):
            push("vm", "--part", "1/2", scope="write", space=space)
            push("vm", "--part", "2/2", scope="write", space=space)
        assert push("--abort", scope="write", space="") == ["denied"]
        mine = push("--abort", "--dry-run", scope="admin", space="")
        other = push("--abort", "--dry-run", scope="admin", space="tenant")
        assert (len(mine), len(other), len({*mine, *other})) == (2, 2, 4)

        push("--abort", other[0], scope="write", space="")  # not in this namespace: no effect
        assert push("--abort", other[0], scope="write", space="tenant") == other[:1]
        assert push("--abort", "--dry-run", scope="admin", space="tenant") == other[1:]
        assert push("--abort", scope="admin", space="tenant") == other[1:]
        assert push("--abort", "--dry-run", scope="admin", space="tenant") == []
        assert push("--abort", "--dry-run", scope="admin", space="") == mine
        answer = httpx.get(
            f"{server.url}/v1/pushes",
            headers={"Authorization": f"Bearer {tokens['admin', '']}"},
        )
        assert [item["push"] for item in answer.json()["pushes"]] == mine
    with open_namespace(there, "tenant") as store:
        assert store.pushes.open() == []


def test_the_message_of_an_interrupted_push_names_what_gives_it_up(
    program: Program, server: Server, there: Path
) -> None:
    slow = program.start("push", "vm", "--limit", "500K", "--server", server.url)
    server.wait_for("POST /v1/objects?push=")
    slow.terminate()
    _, err = slow.communicate(timeout=60)
    found = re.search(rb"casync push --abort ([0-9a-f]{32})", err)
    assert found, err
    with LmdbStore.open(there, read_only=True) as store:
        assert [push.id.hex() for push in store.pushes.open()] == [found[1].decode()]
    ended = program.good("push", "--abort", found[1].decode(), "--server", server.url)
    assert ended.lines == [f"{found[1].decode()}\t"]
    with LmdbStore.open(there, read_only=True) as store:
        assert store.pushes.open() == []


def test_abort_takes_no_options_of_a_push(program: Program) -> None:
    url = ("--server", "http://127.0.0.1:1")
    for arguments in ((), ("--abort", "vm"), ("--abort", "--name", "x"), ("--abort", "--part=1/2")):
        assert program.run("push", *arguments, *url).status == 2, arguments
