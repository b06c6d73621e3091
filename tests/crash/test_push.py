"""Pushes with killed servers and clients, lost answers, and full disks.

In all cases nothing wrong is kept, acknowledged content is there, and the same command, run again,
completes the push with the missing objects.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.crash.commands import Server, casync, environment, execute, run
from tests.crash.material import image, updated
from tests.crash.origin import prepared
from tests.crash.promises import Acknowledged, store_violations
from tests.crash.relay import Relay
from tests.crash.tiny_disk import KINDS, TinyDisk

_SEED: Final = 20260212
_ROUNDS: Final = 6
_SIZE: Final = 8 << 20
_NO_SPACE: Final = 6


class Here(NamedTuple):
    """The store that pushes go out from: its folder, and contents by hash, the old one first."""

    store: Path
    known: dict[str, bytes]

    @property
    def hashes(self) -> list[str]:
        return list(self.known)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("here")
    old = image(70, _SIZE)
    return Here(folder / "store", prepared(folder / "store", old, updated(old, 71), folder=folder))


def _command(here: Here, hash_: str, url: str, *options: str) -> list[str]:
    return casync(
        *("push", hash_, "--name", "disk", "--store", here.store, "--server", url, "--json"),
        *options,
    )


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def _violations(there: Path, here: Here, acknowledged: set[str]) -> list[str]:
    """The faults of the server's store, with every object checked."""
    wrong = store_violations(there, here.known, Acknowledged(acknowledged))
    verified = run("verify", "--store", there)
    if verified.returncode:
        wrong.append(verified.stderr.decode())
    return wrong


def test_servers_that_are_killed_during_a_push(
    tmp_path: Path, here: Here, summary: Callable[[str], None]
) -> None:
    """Supervisors or workers; the next one starts from the disk only."""
    rng = random.Random(_SEED)
    servers = 0
    with Relay() as relay:
        for number in range(_ROUNDS):
            there, hash_ = tmp_path / f"there{number}", here.hashes[number % 2]
            options = ["--limit", "4M", "--retry-for", "10m", "-p", rng.choice(["1", "4"])]
            client = None
            while client is None or client.poll() is None:
                with Server(there, "--writable", "--workers", rng.choice(["1", "2"])) as server:
                    servers += 1
                    relay.upstream = server.port
                    client = client or _start(_command(here, hash_, relay.url, *options))
                    _wait(client, rng.uniform(0.3, 1.2))
                    if rng.random() < 0.3:
                        _kill_a_worker(server, rng)
                        _wait(client, rng.uniform(0.1, 0.5))
                    if rng.random() < 0.8:
                        server.kill()
                    relay.upstream = None
            _, said = client.communicate()
            if client.returncode == 5:  # the first server was killed before its first answer
                with Server(there, "--writable") as server:
                    assert execute(_command(here, hash_, server.url)).returncode == 0
            else:
                assert client.returncode == 0, f"round {number}: {said.decode()}"
            assert _violations(there, here, {hash_}) == [], f"round {number} of seed {_SEED}"
    summary(f"servers killed in mid-push: {_ROUNDS} rounds, {servers} servers, 0 violations")
    assert servers >= 2 * _ROUNDS


def _wait(client: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while client.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def _kill_a_worker(server: Server, rng: random.Random) -> None:
    workers = server.workers()
    if workers:
        subprocess.run(["kill", "-9", str(rng.choice(workers))], check=False, capture_output=True)


def test_clients_that_are_killed_during_a_push(
    tmp_path: Path, here: Here, summary: Callable[[str], None]
) -> None:
    """A collection runs at every turn. Objects that arrived are not sent again."""
    rng = random.Random(_SEED + 1)
    kills = 0
    for number in range(_ROUNDS):
        there, hash_ = tmp_path / f"there{number}", here.hashes[number % 2]
        with Server(there, "--writable") as server:
            left = [_left(here, hash_, server.url)]
            for _ in range(rng.choice([1, 2, 4])):
                client = _start(_command(here, hash_, server.url, "--limit", "4M"))
                _wait(client, rng.uniform(0.2, 2.0))
                client.kill()
                client.communicate()
                kills += 1
                assert run("gc", "--window", "0", "--store", there).returncode == 0
                left.append(_left(here, hash_, server.url))
            assert left == sorted(left, reverse=True), f"round {number}: lost what it had"
            done = execute(_command(here, hash_, server.url))
            assert done.returncode == 0, done.stderr.decode()
            assert json.loads(done.stdout)["payload"] <= left[-1]
        assert _violations(there, here, {hash_}) == [], f"round {number} of seed {_SEED}"
    summary(f"clients killed in mid-push: {_ROUNDS} rounds, {kills} kills, 0 violations")


def _left(here: Here, hash_: str, url: str) -> int:
    """Bytes that a push would still send."""
    plan = execute(_command(here, hash_, url, "--dry-run"))
    assert plan.returncode == 0, plan.stderr.decode()
    return int(json.loads(plan.stdout)["payload"])


@pytest.mark.parametrize("kind", KINDS)
def test_push_on_any_amount_of_free_space(
    tmp_path: Path, here: Here, kind: str, summary: Callable[[str], None]
) -> None:
    """Names can be removed on a full disk, and the server continues when there is space."""
    old, new = here.hashes
    exits: Counter[int] = Counter()
    spaces = [0, 64, 512, 1536, 2560, 3584, 4608, 6144, 12288]
    with TinyDisk(tmp_path, 40 << 20, kind) as disk:
        there = disk.path / "store"
        unreserved = [*disk.inside, "env", "CASYNC_SERVE_DISK_SPARE=0"]
        for space in spaces:
            where = f"{kind}, {space} KiB left"
            disk.sh("rm -rf store")
            with Server(there, "--writable", before=unreserved) as server:
                assert execute(_command(here, old, server.url)).returncode == 0, where
                disk.fill(space << 10)
                full = execute(_command(here, new, server.url))
                exits[full.returncode] += 1
                if full.returncode:
                    assert full.returncode == _NO_SPACE, f"{where}: {full.stderr.decode()}"
                    assert b"disk is full" in full.stderr, full.stderr.decode()
                names = run("name", "log", "disk", "--server", server.url)
                assert old.encode() in names.stdout, f"{where}: {names.stderr.decode()}"
                content = run("cat", old, "--server", server.url)
                assert content.stdout == here.known[old], where
                removed = run("rm", "disk@1", "--server", server.url)
                assert removed.returncode == 0, f"{where}: {removed.stderr.decode()}"
                collected = run("gc", "--window", "0", "--store", there, before=disk.inside)
                assert collected.returncode == 0, f"{where}: {collected.stderr.decode()}"
                disk.empty()
                again = execute(_command(here, new, server.url))
                assert again.returncode == 0, f"{where}: {again.stderr.decode()}"
                content = run("cat", new, "--server", server.url)
                assert content.stdout == here.known[new], where
            verified = run("verify", "--store", there, before=disk.inside)
            assert verified.returncode == 0, f"{where}: {verified.stderr.decode()}"
    assert exits[_NO_SPACE] >= 3
    assert exits[0] >= 2
    summary(f"full disk, push, {kind}: {len(spaces)} sizes, exits {dict(exits)}, 0 violations")


_FILL = """
import subprocess, sys
from pathlib import Path
from casync.errors import NoSpaceError
from casync.ops.upkeep.verify import verify
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack, put_manifest

path = Path(sys.argv[1])
ballast = path.parent / "ballast"
with LmdbStore.open(path, create=True) as store:
    ballast.write_bytes(bytes(20 << 20))
    kept = put_manifest(store, b"kept", "kept")
    commits, full = 0, 0
    for number in range(100):
        try:
            store.commit(Batch(objects=[pack(noise(300_000, number))]))
            commits += 1
        except NoSpaceError:
            full += 1
            if full == 3:
                ballast.unlink()
            elif full > 3:
                raise
    found = verify(store)
    assert not found.faults and found.objects == commits + 2, found
    print(commits, full)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_store_can_be_written_again_after_space_is_freed(tmp_path: Path, kind: str) -> None:
    """In one process, as in a server: each commit is atomic."""
    with TinyDisk(tmp_path, 44 << 20, kind) as disk:
        interpreter = casync()[0].replace("/casync", "/python")
        done = execute([*disk.inside, interpreter, "-c", _FILL, str(disk.path / "store")])
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.split() == [b"97", b"3"]
