"""Servers and clients that are killed at random times while content travels."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import Server, casync, environment, execute
from tests.crash.origin import Origin, serving
from tests.crash.relay import Relay

_SEED: Final = 20260105
_ROUNDS: Final = 24
_SIZE: Final = 8 << 20


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=_SIZE, seed=60) as found:
        yield found


class _Client(threading.Thread):
    """Runs a command. `done` is set when it ended."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self.done = threading.Event()
        self.status = -1
        self.said = ""
        self._command = command

    def start(self) -> None:
        """Starts it, once."""
        if self.ident is None:
            super().start()

    def run(self) -> None:
        try:
            ended = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment(),
                check=False,
            )
            self.status, self.said = ended.returncode, ended.stderr.decode()
        finally:
            self.done.set()


def _restart_at_random(client: _Client, relay: Relay, store: Path, rng: random.Random) -> int:
    """Runs servers behind `relay`, one after the other, until `client` ends. Returns how many.

    The first one stays until it has answered: clients do not wait for an unknown server.
    """
    count = 0
    relay.answered.clear()
    while not client.done.is_set():
        with Server(store) as server:
            count += 1
            relay.upstream = server.port
            client.start()
            while not (relay.answered.wait(0.1) or client.done.is_set()):
                pass
            client.done.wait(rng.uniform(0.05, 1.5))
            if rng.random() < 0.8:
                server.kill()
            relay.upstream = None
        client.done.wait(rng.choice([0, rng.uniform(0, 0.5)]))
    return count


def test_servers_that_are_killed_and_come_back(
    tmp_path: Path, origin: Origin, summary: Callable[[str], None]
) -> None:
    rng = random.Random(_SEED)
    servers = 0
    with Relay() as relay:
        for number in range(_ROUNDS):
            target = tmp_path / f"target{number}"
            hash_ = origin.hashes[number % 2]
            options = ["--server", relay.url, "--store", str(tmp_path / f"store{number}")]
            options += ["--limit", "1M", "--retry-for", "10m"]
            client = _Client(casync("pull", hash_, "-o", target, *options))
            servers += _restart_at_random(client, relay, origin.store, rng)
            client.join()
            assert client.status == 0, f"round {number} of seed {_SEED}: {client.said}"
            assert target.read_bytes() == origin.known[hash_]
            target.unlink()
    summary(
        f"servers killed in mid-pull: {_ROUNDS} rounds, {servers} servers, seed {_SEED}, 0 wrong"
    )
    assert servers >= 2 * _ROUNDS


def test_clients_that_are_killed_and_run_again(
    tmp_path: Path, origin: Origin, summary: Callable[[str], None]
) -> None:
    rng = random.Random(_SEED + 1)
    kills = fetched_twice = 0
    for number in range(_ROUNDS):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        target = folder / "target"
        hash_ = origin.hashes[number % 2]
        options = ["--server", origin.url, "--store", str(tmp_path / f"store{number}"), "--json"]
        command = casync("pull", hash_, "-o", target, *options)
        missing = [origin.missing(hash_, None)]
        for _ in range(rng.choice([1, 1, 2, 4])):
            client = subprocess.Popen(
                [*command, "--limit", "2M"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
            time.sleep(rng.uniform(0.2, 2.0))
            client.kill()
            client.wait()
            kills += 1
            if target.exists():
                break
            missing.append(origin.missing(hash_, next(folder.iterdir(), None)))
        assert missing == sorted(missing, reverse=True), f"round {number}: lost what it had"
        done = execute(command)
        assert done.returncode == 0, done.stderr.decode()
        assert target.read_bytes() == origin.known[hash_]
        fetched = json.loads(done.stdout)["sources"].get("server", 0)
        fetched_twice += max(fetched - missing[-1], 0)
        assert [path.name for path in folder.iterdir()] == ["target"]
    summary(
        f"clients killed in mid-pull: {_ROUNDS} rounds, {kills} kills, seed {_SEED + 1}, "
        f"{fetched_twice} bytes fetched twice"
    )
    assert fetched_twice == 0
