"""`push` as a user runs it: to real servers, with parts, folders and refusals."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.serving import Server, serving

DATA = random.Random(8).randbytes(3_000_000) + bytes(500_000)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "here").mkdir()
    return Program(tmp_path / "here")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "there", {"disk_spare": 0}, writable=True) as server:
        yield server


def test_push_in_parallel(program: Program, server: Server, tmp_path: Path) -> None:
    hash_ = program.good("prepare", "--name", "vm/1", stdin=DATA).lines[0]
    there = ("--server", server.url)
    plan = program.good("push", "vm/1", "--dry-run", "--json", *there).document
    assert plan["length"] == len(DATA)
    lines = program.good("push", "vm/1", "--dry-run", *there).lines
    assert lines[2:] == [f"send\t{plan['payload']}", f"objects\t{plan['new']}"]
    assert program.good("ls", *there).lines == []

    done = program.good("push", "vm/1", "-p", "8", "--json", *there).document
    assert (done["manifest"], done["name"], done["version"]) == (hash_, "vm/1", 1)
    assert (done["new"], done["payload"]) == (plan["new"], plan["payload"])
    assert done["sent"] < done["payload"] + 300_000
    assert program.good("cat", "vm/1", *there).out == DATA
    pulled = Program(tmp_path)
    pulled.good("pull", "vm/1", "-o", "copy", "--no-progress", *there)
    assert (tmp_path / "copy").read_bytes() == DATA


def test_parts_from_several_hosts_at_once(program: Program, server: Server) -> None:
    hash_ = program.good("prepare", "--name", "vm/1", stdin=DATA).lines[0]
    there = ("--server", server.url, "--json")
    hosts = [program.start("push", "vm/1", "--part", f"{n}/3", *there) for n in (1, 2, 3)]
    for host in hosts:
        out, err = host.communicate()
        assert host.returncode == 0, err
        assert b'"published": false' in out
    assert program.good("ls", "--server", server.url).lines == []
    done = program.good("push", "vm/1", *there).document
    assert done["new"] == 0
    assert (done["published"], done["name"]) == (True, "vm/1")
    assert program.good("cat", hash_, "--server", server.url).out == DATA


def test_an_interrupted_push_resumes(program: Program, server: Server) -> None:
    program.good("prepare", "--name", "vm/1", stdin=DATA)
    there = ("--server", server.url, "--json")
    first = program.good("push", "vm/1", "--part", "1/2", *there).document
    second = program.good("push", "vm/1", *there).document
    plan = program.good("push", "vm/1", "--dry-run", *there).document
    assert first["new"]
    assert second["new"]
    assert plan["new"] == 0
    again = program.good("push", "vm/1", *there).document
    assert (again["new"], again["version"], again["requests"]) == (0, 1, 2)
    assert first["new"] + second["new"] == second["objects"]


def test_a_push_that_is_interrupted(program: Program, server: Server) -> None:
    program.good("prepare", "--name", "vm/1", stdin=DATA)
    there = ("--server", server.url)
    slow = program.start("push", "vm/1", "--limit", "500K", *there)
    server.wait_for("POST /v1/objects?push=")
    slow.send_signal(signal.SIGINT)
    _, err = slow.communicate(timeout=60)
    assert slow.returncode == 130
    assert b"Run the same command again" in err
    total = program.good("push", "vm/1", "--dry-run", "--json", *there).document["objects"]
    for _ in range(30):  # until something has arrived, however busy the machine is
        killed = program.start("push", "vm/1", "--limit", "500K", *there)
        time.sleep(1)
        killed.kill()
        killed.communicate()
        plan = program.good("push", "vm/1", "--dry-run", "--json", *there).document
        if plan["new"] < total:
            break
    done = program.good("push", "vm/1", "--json", *there).document
    assert 0 < done["new"] <= plan["new"] < total
    assert program.good("cat", "vm/1", *there).out == DATA


def test_limits_and_servers(program: Program, server: Server) -> None:
    program.good("prepare", "--name", "vm/1", stdin=DATA[:400_000])
    there = ("--server", server.url)
    limited = program.good("push", "vm/1", "--limit", "400K", "--json", *there).document
    assert limited["seconds"] > 0.5
    for arguments in (
        (),
        (*there, *there),
        ("--part", "0/2", *there),
        ("--part", "3/2", *there),
        ("--part", "1", *there),
        ("--part", "1/2", "--name", "x", *there),
        ("--name", "a//b", *there),
    ):
        assert program.run("push", "vm/1", *arguments).status == 2, arguments
    assert program.run("push", "vm/1:x", *there).status == 2
    assert program.run("push", "nobody", *there).status == 9
    gone = program.run("push", "vm/1", "--server", "http://127.0.0.1:1", "--retry-for", "1s")
    assert gone.status == 5
    program.good("push", "vm/1", CASYNC_SERVER=server.url)


def test_a_push_sets_names(program: Program, server: Server) -> None:
    one = program.good("prepare", "--name", "vm", stdin=b"1").lines[0]
    two = program.good("prepare", "--name", "vm", stdin=b"2").lines[0]
    there = ("--server", server.url)
    assert program.good("push", one, *there).lines == [one]
    assert program.good("push", "vm@1", *there).lines == [one]
    assert program.good("ls", *there).lines == [f"{one}\t"]
    assert program.good("push", "vm", *there).lines == [f"{two}\tvm@1"]
    assert program.good("push", "vm@1", "--name", "old", *there).lines == [f"{one}\told@1"]
    assert program.good("push", one[:12], "--name", "vm", *there).lines == [f"{one}\tvm@2"]


def test_a_folder_is_pushed_with_all_that_is_in_it(program: Program, server: Server) -> None:
    folder = program.home / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "empty").mkdir()
    for number in range(60):
        (folder / "deep" / f"{number}").write_bytes(b"%d" % number * number)
    (folder / "deep" / "er" / "large").write_bytes(DATA)
    (folder / "none").write_bytes(b"")
    program.good("prepare", folder, "--name", "tree")
    there = ("--server", server.url)
    plan = program.good("push", "tree", "--dry-run", "--json", *there).document
    done = program.good("push", "tree", "--json", *there).document
    assert (done["new"], done["payload"]) == (plan["new"], plan["payload"])
    here, remote = (
        program.good("ls", "-lR", "tree:", "--json", *more).document for more in ((), there)
    )
    for entry in (*here["entries"], *remote["entries"]):
        if entry["kind"] == "folder":
            entry.pop("length", None)  # a server does not add up folders
    assert remote == here
    assert program.good("cat", "tree:deep/er/large", *there).out == DATA


def test_refusals_of_a_server(program: Program, tmp_path: Path) -> None:
    program.good("prepare", "--name", "vm", stdin=DATA)
    with serving(program.store) as server:
        assert program.good("push", "vm", "--dry-run", "--server", server.url)
    Program(tmp_path).good("prepare", "--store", tmp_path / "other", stdin=b"")
    with serving(tmp_path / "other") as server:
        refused = program.run("push", "vm", "--json", "--server", server.url)
        assert (refused.status, refused.problem["code"]) == (8, "denied")
        assert "--writable" in refused.problem["next_step"]
