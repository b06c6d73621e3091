"""One process at a time runs a job, however the one before it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.errors import LockedError, LostRaceError, UsageError
from casync.jobs.job import Counts, JobState
from casync.store.base import Batch
from casync.store.jobs import JobUpdate
from casync.store.lmdb.byte_lock import FETCH_BYTES, JOB_BYTES, OPEN_BYTE, WRITER_BYTES, ByteLocks
from casync.store.lmdb.jobs.claim import has_runner, lock_job
from casync.store.lmdb.store import LmdbStore
from tests.support.small_jobs import fetched, items, made

RUNNER = """
import sys
from casync.errors import LockedError
from casync.store.lmdb.store import LmdbStore
with LmdbStore.open(sys.argv[1]) as store:
    for line in sys.stdin:
        try:
            claim = store.jobs.claim(line.strip())
            print(claim.row.epoch, flush=True)
        except LockedError:
            print("locked", flush=True)
"""


class Runner:
    """A process that claims jobs."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, ident: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{ident}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def claim(self, ident: str) -> str:
        self.ask(ident)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def runners(path: Path, count: int) -> Iterator[list[Runner]]:
    started = [Runner(path) for _ in range(count)]
    try:
        yield started
    finally:
        for runner in started:
            runner.process.kill()
            runner.process.communicate()


@pytest.fixture
def store(path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(path, create=True) as store:
        yield store


def test_a_killed_runner_leaves_its_job_to_the_next_one(store: LmdbStore, path: Path) -> None:
    ident = made(store).id
    with runners(path, 2) as (first, second):
        assert first.claim(ident) == "1"
        assert store.jobs.is_running(ident)
        assert second.claim(ident) == "locked"
        with pytest.raises(LockedError):
            store.jobs.claim(ident)
        with pytest.raises(UsageError, match="is running"):
            store.jobs.remove(ident)
        first.kill()
        row = store.jobs.find(ident)
        assert row is not None
        assert (row.state, store.jobs.is_running(ident)) == (JobState.RUNNING, False)
        assert second.claim(ident) == "2"
        second.kill()
        store.jobs.remove(ident)
        assert store.jobs.find(ident) is None


def test_of_many_processes_that_claim_a_job_one_gets_it(store: LmdbStore, path: Path) -> None:
    idents = [made(store, number).id for number in range(4)]
    with runners(path, 4) as all_runners:
        for ident in idents:
            for runner in all_runners:
                runner.ask(ident)
        answers = [[runner.answer() for _ in idents] for runner in all_runners]
    for number in range(len(idents)):
        assert sorted(each[number] for each in answers) == ["1", "locked", "locked", "locked"]


def test_a_suspended_runner_keeps_its_job(store: LmdbStore, path: Path) -> None:
    ident = made(store).id
    with runners(path, 1) as (runner,):
        runner.claim(ident)
        os.kill(runner.process.pid, signal.SIGSTOP)
        with pytest.raises(LockedError):
            store.jobs.claim(ident)
        assert store.jobs.request_stop(ident).state is JobState.RUNNING
        runner.kill()
    with store.jobs.claim(ident) as claim:
        assert claim.stop_requested()


def test_a_job_that_another_process_has_continued_takes_nothing_from_its_first_runner(
    store: LmdbStore, path: Path
) -> None:
    ident = made(store).id
    claim = store.jobs.claim(ident)
    row, batch = fetched(store, claim.row, [0])
    store.commit(batch)
    claim.release()
    with runners(path, 1) as (runner,):
        assert runner.claim(ident) == "2"
        assert claim.stop_requested()
        _, late = fetched(store, row, [1])
        for action in (
            lambda: store.commit(late),
            lambda: store.commit(Batch(job=JobUpdate(row.after([1], Counts(skipped=1))))),
            lambda: store.jobs.add_items(claim, 0, items(1)),
        ):
            with pytest.raises(LostRaceError, match="no longer belongs"):
                action()
    assert store.jobs.find(ident) == replace(row, epoch=2)
    assert [record.name for record in store.names()] == ["data/f0"]


def test_a_reader_sees_who_runs_without_permission_to_write(store: LmdbStore, path: Path) -> None:
    ident = made(store).id
    with store.jobs.claim(ident):
        (path / "store.lock").chmod(0o400)
        assert has_runner(path, ident)
    assert not has_runner(path, ident)
    assert not has_runner(path / "elsewhere", ident)


def test_each_job_has_a_byte_of_its_own(tmp_path: Path) -> None:
    idents = ["dnl-000000000", "dnl-000000001", "dnl-zzzzzzzzz", "dnl-00000000z"]
    held = [lock_job(tmp_path, ident) for ident in idents]
    assert all(held)
    other = ByteLocks(tmp_path)
    taken = [number for number in (2**61 + 1, 2**61 + 2, 2**61 + 36) if other.is_taken(number)]
    assert taken == [2**61 + 1, 2**61 + 2, 2**61 + 36]
    for locks in (other, *held):
        assert locks is not None
        locks.close()
    assert len(JOB_BYTES) >= 36**9


def test_the_bytes_of_different_holders_do_not_overlap() -> None:
    ends = [(each[0], each[-1]) for each in (WRITER_BYTES, JOB_BYTES, FETCH_BYTES)]
    (_, writers), (first_job, last_job), (first_fetch, _) = ends
    assert writers < first_job
    assert last_job < OPEN_BYTE < first_fetch
