"""Several servers over one bucket: each is a process of a host with tables of its own."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import Cluster, is_ready, moto, shows
from tests.support.moto_server import moto_server
from tests.support.program import Program
from tests.support.serving import until

IMAGE = random.Random(15).randbytes(24_000_000)


@pytest.fixture
def folder(program: Program, tmp_path: Path) -> Cluster:
    return Cluster(program, f"file://{tmp_path}/bucket", {})


@pytest.fixture(params=["folder", "moto"])
def cluster(request: pytest.FixtureRequest, program: Program, tmp_path: Path) -> Iterator[Cluster]:
    if request.param == "folder":
        yield Cluster(program, f"file://{tmp_path}/bucket", {})
        return
    with moto_server() as url:
        yield moto(program, url)


def test_every_replica_shows_what_any_host_commits(cluster: Cluster) -> None:
    program = cluster.program
    cluster.prepare("first", b"first")
    with cluster.replica("one", "--writable") as one, cluster.replica("two") as two:
        for server in (one, two):
            until(partial(is_ready, server), "the first sync")
            assert shows(server, "first")
        cluster.prepare("second", b"second")
        for server in (one, two):
            until(partial(shows, server, "second"), "what a host prepared")
        local = str(program.home / "local")
        program.good("prepare", "--name", "pushed", "--store", local, stdin=b"pushed")
        program.good("push", "pushed", "--store", local, "--server", one.url)
        until(lambda: shows(two, "pushed"), "what was pushed to the other replica")
        assert program.good("cat", "pushed", "--server", two.url).out == b"pushed"
        refused = program.run("name", "set", "third", "pushed", "--server", two.url)
        assert refused.status == 8
        assert one.stop() == two.stop() == 0
    stats = program.good("verify", "--store", cluster.address, "--json").document
    assert stats["faults"] == []


def test_every_pull_ends_right_when_a_replica_is_killed(folder: Cluster) -> None:
    folder.prepare("disk", IMAGE)
    with folder.replica("one") as one, folder.replica("two") as two:
        for server in (one, two):
            until(partial(is_ready, server), "the first sync")

        def pull(number: int) -> bytes:
            servers = ("--server", one.url, "--server", two.url, "--retry-for", "1h")
            store, out = f"store{number}", f"out{number}"
            home = folder.program.home
            folder.program.good("--store", str(home / store), "pull", "disk", "-o", out, *servers)
            return (home / out).read_bytes()

        with ThreadPoolExecutor(4) as pool:
            pulls = [pool.submit(pull, number) for number in range(4)]
            one.wait_for("/v1/objects/fetch")
            one.process.send_signal(signal.SIGKILL)
            assert all(each.result() == IMAGE for each in pulls)


def test_a_replica_without_its_bucket_serves_what_is_here_and_names_the_outage(
    program: Program,
) -> None:
    with ExitStack() as stack:
        cluster = moto(program, stack.enter_context(moto_server()))
        cluster.prepare("disk", b"content")
        with cluster.replica("one") as one:
            until(lambda: is_ready(one), "the first sync")
            stack.close()
            one.wait_for("cannot read the state of the bucket")
            assert shows(one, "disk")
            answer = httpx.get(f"{one.url}/v1/files/disk", timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (503, "unreachable")
            assert int(answer.headers["retry-after"]) > 0
        with cluster.replica("one") as one:
            assert shows(one, "disk")
    anew = str(program.home / "new")
    serve = ("serve", "--store", cluster.address, "--listen", "127.0.0.1:0")
    refused = program.run(*serve, XDG_CACHE_HOME=anew)
    assert refused.status != 0
    assert "cannot reach" in refused.err


def test_a_bucket_without_a_store_is_refused_at_the_start(folder: Cluster) -> None:
    refused = folder.program.run("serve", "--store", folder.address, "--listen", "127.0.0.1:0")
    assert refused.status == 9
    assert "no store at" in refused.err


def test_tokens_are_those_of_a_store_in_a_folder(folder: Cluster) -> None:
    program = folder.program
    folder.prepare("disk", b"content")
    public = ("serve", "--store", folder.address, "--listen", "0.0.0.0:0")
    assert "--tokens" in program.run(*public).err
    tokens = str(program.home / "tokens")
    token = program.good("token", "new", "--create", "--store", tokens).text.strip()
    with folder.replica("one", "--tokens", tokens, "--listen", "0.0.0.0:0") as one:
        until(lambda: is_ready(one), "the first sync")
        names = f"{one.url}/v1/names/disk"
        assert httpx.get(names).status_code == 401
        assert httpx.get(names, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_cache_over_a_bucket_is_refused_with_a_next_step(folder: Cluster) -> None:
    serve = ("serve", "--store", folder.address, "--upstream", "http://127.0.0.1:1")
    refused = folder.program.run(*serve)
    assert refused.status == 2
    assert "its store is in a folder" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_tokens_are_not_for_stores_in_folders(program: Program) -> None:
    refused = program.run("serve", "--create", "--tokens", "x", "--listen", "127.0.0.1:0")
    assert refused.status == 2
    assert "--tokens is for stores in buckets" in refused.err
