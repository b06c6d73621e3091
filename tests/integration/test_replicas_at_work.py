"""Replicas over one bucket: collections, jobs and namespaces are those of all of them."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store_contract import noise
from tests.support.cluster import Cluster, is_ready, kill_host, shows
from tests.support.program import Program
from tests.support.serving import until

COUNT = 30
FILES = {f"{number:02}.bin": bytes([number]) * 50_000 for number in range(COUNT)}


class Gate:
    """A web server's objects, of which some are held back until it opens.

    Attributes:
        opened: Whether all objects are let through.
    """

    def __init__(self) -> None:
        self.opened = threading.Event()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; the second half of them once the gate is open."""

    gate: Gate

    def log_request(self, *_: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Answers a request."""
        if int(self.path[1:3]) >= COUNT // 2:
            assert self.gate.opened.wait(120)
        with contextlib.suppress(ConnectionError):  # the client was killed
            super().do_GET()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def source(tmp_path: Path, gate: Gate) -> Iterator[str]:
    """A web server on loopback with FILES."""
    folder = tmp_path / "web"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    handler = type("Gated", (Handler,), {"gate": gate})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    gate.opened.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cluster(program: Program, tmp_path: Path) -> Cluster:
    cluster = Cluster(program, f"file://{tmp_path}/bucket", {"CASYNC_SERVE_LEASE_SECONDS": "3"})
    cluster.prepare("disk", b"content")
    return cluster


def fetched(cluster: Cluster, job: str, *server: str) -> int:
    shown = cluster.program.good("job", "show", job, "--json", *server).document
    return int(shown["finished_cnt"])


def test_the_job_of_a_replica_that_died_goes_on_at_another(
    cluster: Cluster, source: str, gate: Gate
) -> None:
    program = cluster.program
    with cluster.replica("one", "--jobs") as one:
        until(functools.partial(is_ready, one), "the first sync")
        template = f"{source}/{{00..{COUNT - 1}}}.bin"
        made = program.good("download", template, "set/", "--server", one.url, "--max-conns", "4")
        job = made.text.split()[0]
        until(lambda: fetched(cluster, job, "--server", one.url) >= 4, "objects are fetched")
        kill_host(one)
    gate.opened.set()
    with cluster.replica("two", "--jobs") as two:
        until(functools.partial(is_ready, two), "the first sync")
        program.good("job", "wait", job, "--server", two.url)
        assert two.wait_for(f"job {job} finished")
    shown = program.good("job", "show", job, "--json", "--store", cluster.address).document
    assert shown["finished_cnt"] == COUNT
    for name, data in FILES.items():
        assert program.good("cat", f"set/{name}", "--store", cluster.address).out == data


def test_of_two_replicas_one_collects_in_an_interval(cluster: Cluster) -> None:
    gc = ("--gc-interval", "2s", "--writable")
    with cluster.replica("one", *gc) as one, cluster.replica("two", *gc) as two:
        until(
            lambda: any("did not collect" in line for line in one.lines + two.lines),
            "one leaves the interval to the other",
        )
        until(lambda: any("collected 0" in line for line in one.lines + two.lines), "one collects")
        assert not any("cannot collect" in line for line in one.lines + two.lines)


def test_namespaces_are_prefixes_of_the_bucket_on_every_replica(cluster: Cluster) -> None:
    program = cluster.program
    tokens = str(program.home / "tokens")
    at = ("--store", cluster.address, "--tokens", tokens)
    new = ("token", "new", *at, "--scope", "write")
    default = program.good(*new, "--create").text.strip()
    acme = program.good(*new, "--namespace", "acme", "--quota", "1M").text.strip()
    program.good("token", "new", "--store", tokens, "--namespace", "lost")
    lost = program.good("token", "new", "--store", tokens, "--namespace", "lost").text.strip()
    local = str(program.home / "local")
    program.good("prepare", "--name", "plans", "--store", local, stdin=b"plans" * 1000)
    program.good("prepare", "--name", "large", "--store", local, stdin=noise(1_500_000))
    serve = ("--tokens", tokens, "--writable", "--gc-interval", "1s")
    with cluster.replica("one", *serve) as one, cluster.replica("two", *serve) as two:
        until(functools.partial(is_ready, one), "the first sync")
        until(functools.partial(is_ready, two), "the first sync")
        push = ("push", "--store", local, "--server", one.url)
        program.good(*push, "plans", CASYNC_TOKEN=acme)
        refused = program.run(*push, "large", CASYNC_TOKEN=acme)
        assert (refused.status, "quota" in refused.err) == (6, True)
        until(lambda: shows(two, "plans", acme), "the other replica shows what was pushed")
        assert not shows(two, "plans", default)
        assert shows(two, "disk", default)
        assert not shows(two, "disk", acme)
        assert not shows(two, "plans", lost)
        two.wait_for("no namespace lost in ")
        until(lambda: any(" in acme" in line for line in one.lines + two.lines), "it is collected")
    place = f"{cluster.address}/namespaces/acme"
    assert program.good("cat", "plans", "--store", place).out == b"plans" * 1000
    assert program.good("verify", "--store", place, "--json").document["faults"] == []
