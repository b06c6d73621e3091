"""Servers that go away and come back, lines that break, and servers that start late."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import casync
from casync.ops.push.push import PushOptions
from casync.remote.server.client import RemoteClient
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.contract.store_contract import noise
from tests.support.gateways import breaking_line
from tests.support.peer import Peer
from tests.support.program import Program, read_until
from tests.support.serving import Server, put_file, serving

DATA = noise(3_000_000, 3)
LOST = b"server lost, retrying until "


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "here").mkdir()
    return Program(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    with LmdbStore.open(tmp_path / "there", create=True) as store:
        put_file(store, DATA, name="vm")
    return tmp_path / "there"


@pytest.fixture
def server(there: Path) -> Iterator[Server]:
    with serving(there, {"disk_spare": 0}, writable=True) as server:
        yield server


@pytest.mark.parametrize("shown", ["--no-progress", "--progress"])
def test_a_pull_says_that_the_server_is_lost_and_back(
    program: Program, server: Server, there: Path, shown: str
) -> None:
    arguments = ("pull", "vm", "-o", "out", "--limit", "1M", shown, "--server", server.url)
    pull = program.start(*arguments)
    assert pull.stderr is not None
    server.wait_for("POST /v1/objects/fetch")
    server.close()
    seen = read_until(pull.stderr.fileno(), LOST)
    with serving(there, listen=(f"127.0.0.1:{server.port}",)):
        _, rest = pull.communicate(timeout=120)
    assert pull.returncode == 0, seen + rest
    assert (program.home / "out").read_bytes() == DATA
    if shown == "--no-progress":
        assert seen.count(LOST) == 1
        assert rest.count(b"server back: " + server.url.encode()) == 1


@pytest.fixture(params=["refuses connections", "never answers"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that is gone: its process, or its host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if request.param == "refuses connections":
            listener.close()
        yield url


def test_a_pull_by_name_leaves_a_dead_server_for_the_next_one(
    program: Program, server: Server, dead: str
) -> None:
    servers = ("--server", dead, "--server", server.url, "--retry-for", "1h")
    program.good("pull", "vm", "-o", "out", *servers)
    assert (program.home / "out").read_bytes() == DATA


def test_a_pull_leaves_a_server_that_dies_for_another_one(
    program: Program, server: Server, there: Path
) -> None:
    with serving(there) as other:
        servers = ("--server", server.url, "--server", other.url, "--retry-for", "1h")
        pull = program.start("pull", "vm", "-o", "out", "--limit", "1M", *servers)
        server.wait_for("POST /v1/objects/fetch")
        server.close()
        _, said = pull.communicate(timeout=120)
    assert pull.returncode == 0, said
    assert (program.home / "out").read_bytes() == DATA


def test_a_pull_whose_servers_are_all_dead_ends(program: Program, dead: str) -> None:
    servers = ("--server", dead, "--server", "http://127.0.0.1:1", "--retry-for", "1h")
    assert program.run("pull", "vm", "-o", "out", *servers).status == 5


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_a_command_that_gives_up_says_that_it_continues_when_repeated(
    program: Program, server: Server, verb: str
) -> None:
    program.good("prepare", "--name", "mine", stdin=noise(3_000_000, 4))
    what = ("pull", "vm", "-o", "out") if verb == "pull" else ("push", "mine")
    again = (*what, "--limit", "1M", "--retry-for", "3s", "--server", server.url)
    running = program.start(*again)
    server.wait_for("POST /v1/objects/fetch" if verb == "pull" else "POST /v1/objects?push=")
    server.close()
    _, err = running.communicate(timeout=120)
    assert running.returncode == 5, err
    *_, last = err.splitlines()
    rest = b"fetches" if verb == "pull" else b"sends"
    assert b"Run the same command again; it " + rest + b" only the rest." in last
    assert err.count(LOST) == 1


def test_a_server_that_is_about_to_start_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    peers: list[Peer] = []
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            peers.append(Peer(MemoryStore(), port=port).__enter__())

    try:
        with RemoteClient(f"http://127.0.0.1:{port}", pause=pause, jitter=lambda: 1.0) as client:
            assert client.info().program == "peer"
    finally:
        for peer in peers:
            peer.__exit__(None, None, None)
    assert waits == [0.1, 0.2, 0.4]


def test_a_push_on_a_line_that_breaks_sends_little_again(program: Program, server: Server) -> None:
    program.good("prepare", "--name", "mine", stdin=noise(6_000_000, 5))
    with breaking_line(server.port, 300_000) as url:
        done = program.good("push", "mine", "--json", "--retry-for", "60s", "--server", url)
    assert done.document["sent"] < 3 * 6_000_000
    assert program.good("cat", "mine", "--server", server.url).out == noise(6_000_000, 5)


class Steps:
    """A `Progress` that keeps what it is told."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.total: int | None = None

    def start(self, what: str, total: int | None) -> None:
        self.counts, self.total = [], total

    def advance(self, count: int) -> None:
        self.counts.append(count)

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.mark.parametrize("up", [1 << 60, 700_000])
def test_the_progress_of_a_push_moves_while_bytes_move(
    program: Program, server: Server, up: int
) -> None:
    program.good("prepare", "--name", "mine", stdin=DATA[::-1])
    steps = Steps()
    with (
        breaking_line(server.port, up) as url,
        LmdbStore.open(program.store, read_only=True) as store,
    ):
        casync.push("mine", url, store=store, options=PushOptions(connections=1), progress=steps)
    assert sum(steps.counts) == steps.total == len(DATA)
    assert sum(count > 0 for count in steps.counts) > 5
    assert max(steps.counts) < 1_000_000
