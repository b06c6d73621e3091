"""Download jobs that are killed at any moment, and run again until they have finished."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from casync import api
from casync.errors import CasyncError
from casync.jobs.job import JobRow, JobState
from casync.names.name import parse_name
from casync.ops.prepare.file import PrepareOptions
from casync.ops.upkeep.verify import verify
from casync.store.lmdb.store import LmdbStore
from tests.support.downloading import contents
from tests.support.faulty_web_server import Fault, WebServer
from tests.support.preparing import noise
from tests.support.serving import serving

OBJECTS = {f"/d/{n % 7}/{n:04}.bin": noise(n * 37 % 30_000, n) for n in range(300)}
LARGE = {f"/d/large-{n}.bin": noise(6_000_000, n) for n in range(2)}
CONNECTIONS = 8
KILLS = 4


def start(store: Path, source: str) -> subprocess.Popen[bytes]:
    module = "tests.support.download_process"
    arguments = [str(store), source, str(CONNECTIONS)]
    return subprocess.Popen([sys.executable, "-m", module, *arguments])


def check(path: Path, served: dict[str, bytes]) -> tuple[JobRow, set[str]]:
    """The counts agree with the names, and each name has its bytes. Returns their paths, too."""
    with LmdbStore.open(path, map_bytes=2**31) as store:
        (row,) = store.jobs.rows()
        found = contents(store, "ds/")
        assert row.counts.settled == row.cursor + len(row.beyond)
        assert row.counts.finished == len(found)
        assert row.counts.bytes == sum(map(len, found.values()))
        for name, data in found.items():
            assert data == served[f"/d/{name.removeprefix('ds/')}"]
            assert len(store.history(parse_name(name))) == 1
    return row, {f"/d/{name.removeprefix('ds/')}" for name in found}


def storm(seeded: random.Random, path: str) -> Fault:
    """A fault of a fifth of the answers."""
    chance = seeded.random()
    if chance < 0.1:
        return Fault(status=seeded.choice([429, 500, 503]))
    if chance < 0.15:
        return Fault(cut_after=seeded.randrange(20_000))
    if chance < 0.2:
        return Fault(no_range=True)
    return Fault(pause=0.002) if "large" in path else Fault()


@pytest.mark.parametrize("stormy", [False, True])
def test_a_job_that_is_killed_anywhere_ends_exact(tmp_path: Path, stormy: bool) -> None:
    """D12: counters, names and bytes are exact; nothing that is committed is asked for again."""
    seeded = random.Random(stormy)
    path = tmp_path / "store"
    kills = 0
    done: set[str] = set()
    with WebServer({**OBJECTS, **LARGE}) as server:
        if stormy:
            server.every = lambda path: storm(seeded, path)
        else:
            server.every = lambda path: Fault(pause=0.002) if "large" in path else None
        while True:
            begun = len(server.requests)
            wanted = begun + seeded.randrange(1, 80)
            process = start(path, f"{server.url}/d/")
            while process.poll() is None and (kills == KILLS or len(server.requests) < wanted):
                time.sleep(0.005)
            ended = process.poll()
            process.kill()
            process.wait()
            assert not done & {request.path for request in server.requests[begun:]}
            row, done = check(path, server.objects)
            if ended is not None:
                break
            kills += 1
        fetched = server.fetched()
    assert (kills, ended) == (KILLS, 0)
    assert row.state is JobState.FINISHED
    assert row.counts.finished == row.total == len(OBJECTS) + len(LARGE)
    if not stormy:
        assert not [name for name, data in LARGE.items() if fetched[name] >= 2 * len(data)]


def settled(path: Path) -> int:
    """Objects that the job in a store has done; 0 before it has a store."""
    with suppress(CasyncError), LmdbStore.open(path, read_only=True, map_bytes=2**31) as store:
        return sum(row.counts.settled for row in store.jobs.rows())
    return 0


def test_a_job_from_another_casync_that_is_killed_anywhere_ends_exact(tmp_path: Path) -> None:
    """D2, D12: a real server; each object keeps its manifest, whatever moment the runner dies."""
    seeded = random.Random(7)
    path = tmp_path / "store"
    served = {**OBJECTS, **LARGE}
    manifests = {}
    with LmdbStore.open(tmp_path / "there", create=True, map_bytes=2**31) as there:
        for name, data in served.items():
            options = PrepareOptions(name=parse_name(name[1:]))
            manifests[f"ds/{name[3:]}"] = api.prepare(io.BytesIO(data), there, options).manifest
    kills = [seeded.randrange(1, len(served)) for _ in range(KILLS)]
    with serving(tmp_path / "there") as server:
        for least in sorted(kills):
            process = start(path, f"casync://127.0.0.1:{server.port}/d/")
            while process.poll() is None and settled(path) < least:
                time.sleep(0.005)
            process.kill()
            process.wait()
            row, _ = check(path, served)
            assert row.counts.settled >= least or row.state is JobState.RUNNING
        process = start(path, f"casync://127.0.0.1:{server.port}/d/")
        assert process.wait(120) == 0
    row, _ = check(path, served)
    assert (row.state, row.total) == (JobState.FINISHED, len(served))
    assert row.epoch > KILLS // 2
    with LmdbStore.open(path, map_bytes=2**31) as store:
        assert {record.name: record.manifest for record in store.names()} == manifests
        assert not verify(store).faults
