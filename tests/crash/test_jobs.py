"""Kill -9 at every call that writes, of the runner of a job and of a removal.

Counters, cursor, names and faults agree at any time, and the next runner continues where the killed
one was: no object is published twice.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from casync.jobs.job import JobRow, JobState
from casync.ops.upkeep.gc import collect
from casync.ops.upkeep.verify import verify
from casync.store.lmdb.jobs.upkeep import JOB_TABLES
from casync.store.lmdb.store import LmdbStore
from tests.crash import job_runner
from tests.crash.commands import environment, execute
from tests.crash.job_runner import FAILS, ITEMS, LARGE, SECRET
from tests.crash.recorder import Fault, Recorder
from tests.unit.store.lmdb.test_roots import spoil

_MOST: Final = 2000
_FILES: Final = {"data.mdb", "lock.mdb", "store.lock", "jobs.key"}


def _command(action: str, store: Path) -> list[str]:
    assert job_runner.__file__ is not None
    return [sys.executable, job_runner.__file__, action, str(store)]


def _violations(store: LmdbStore, said: list[str]) -> list[str]:
    """What is wrong with the job of a store whose runner has said this."""
    store.check()
    rows = list(store.jobs.rows())
    if len(rows) != 1:
        return [f"there are {len(rows)} jobs"] if rows or said else []
    (row,) = rows
    wrong = []
    if store.jobs.is_running(row.id):
        wrong.append("a dead runner runs")
    named = {int(record.name[len("data/f") :]) for record in store.names()}
    failed = {fault.index for fault in store.jobs.faults(row.id)}
    done = {*range(row.cursor), *row.beyond}
    if named | failed != done or named & failed:
        wrong.append(f"{len(done)} are done, but {len(named)} have names, {len(failed)} faults")
    if (row.counts.finished, row.counts.failed) != (len(named), len(failed)):
        wrong.append(f"{row.counts} for {len(named)} names and {len(failed)} faults")
    if any(record.version != 1 for record in store.names()):
        wrong.append("an object was published twice")
    if {name for name, _ in store.jobs.origins()} != {f"data/f{n}" for n in named}:
        wrong.append("origins and names differ")
    wrong += [f"{line!r} is lost" for line in said if not _holds(line, store, row)]
    if row.total >= 0 and len(list(store.jobs.items(row.id))) != ITEMS:
        wrong.append("the list is not complete")
    return wrong


def _holds(line: str, store: LmdbStore, row: JobRow) -> bool:
    """Whether what a runner said is still so."""
    word, _, number = line.partition(" ")
    if word == "done":
        return row.cursor >= int(number)
    if word == "part":
        found = store.jobs.parts(row.id, LARGE)
        return row.cursor > LARGE or (found is not None and found.offset >= 3000 * int(number))
    least = {"created": 0, "claimed": 1, "listed": 1, "finished": 1}[word]
    return (
        row.epoch >= least
        and (word != "listed" or row.total == ITEMS)
        and (word != "finished" or row.state is JobState.FINISHED)
    )


def _finished(path: Path) -> list[str]:
    """What is wrong with a finished job."""
    with LmdbStore.open(path) as store:
        wrong = _violations(store, ["finished"])
        (row,) = store.jobs.rows()
        if [fault.index for fault in store.jobs.faults(row.id)] != [FAILS]:
            wrong.append("another object failed")
        if store.jobs.parts(row.id, LARGE) is not None:
            wrong.append("parts are left")
        if verify(store).faults:
            wrong.append("objects are missing")
    wrong += [f"left over: {name}" for name in {each.name for each in path.iterdir()} - _FILES]
    if SECRET.encode() in (path / "data.mdb").read_bytes():
        wrong.append("a secret is on the disk")
    return wrong


def _fault(at: int) -> Fault:
    return Fault("before", at, only="wsn")  # what is printed changes nothing


def _said(stdout: bytes) -> list[str]:
    return stdout.decode().rpartition("\n")[0].split("\n") if stdout else []


def test_a_runner_killed_at_every_call(
    recorder: Recorder, quick_path: Path, summary: Callable[[str], None]
) -> None:
    root, log = quick_path / "root", quick_path / "log"
    store = root / "store"
    command = _command("run", store)
    wrong: list[str] = []
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        log.unlink(missing_ok=True)
        done = recorder.run(command, root, log, fault=_fault(at), env=environment())
        killed = done.returncode == -signal.SIGKILL
        assert killed or done.returncode == 0, done.stderr.decode()
        found: list[str] = []
        if (store / "data.mdb").exists():
            with LmdbStore.open(store) as opened:
                found += _violations(opened, _said(done.stdout))
        if killed:
            again = execute(command)
            if again.returncode:
                found.append(f"the next runner failed: {again.stderr.decode()}")
        found += _finished(store)
        wrong += [f"killed at call {at}: {line}" for line in found]
        if not killed:
            break
    else:
        raise AssertionError(f"no end after {_MOST} calls")
    summary(f"kill -9 in the runner of a job: {at - 1} calls, {len(wrong)} violations")
    assert at > 30
    assert not wrong, "\n".join(wrong[:20])


def test_a_removal_killed_at_every_call(
    recorder: Recorder, quick_path: Path, summary: Callable[[str], None]
) -> None:
    root, log, template = quick_path / "root", quick_path / "log", quick_path / "template"
    store = root / "store"
    template.mkdir()
    first = execute(_command("half", template / "store"))
    assert first.returncode == 0, first.stderr.decode()
    with LmdbStore.open(template / "store") as opened:
        (row,) = opened.jobs.rows()
        names = [record.name for record in opened.names()]
    assert names
    rows: dict[str, list[tuple[bytes, bytes]]] = {}
    wrong: list[str] = []
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        log.unlink(missing_ok=True)
        command = _command("remove", store)
        done = recorder.run(command, root, log, fault=_fault(at), env=environment())
        killed = done.returncode == -signal.SIGKILL
        assert killed or done.returncode == 0, done.stderr.decode()
        with LmdbStore.open(store) as opened:
            opened.check()
            there = opened.jobs.find(row.id) is not None
            if there and "removed" in _said(done.stdout):
                wrong.append(f"killed at call {at}: the job is back")
            if not there and (list(opened.jobs.items(row.id)) or opened.usage().jobs):
                wrong.append(f"killed at call {at}: a removed job shows its list")
            if [record.name for record in opened.names()] != names:
                wrong.append(f"killed at call {at}: names are lost")
            if there:
                opened.jobs.remove(row.id)
            collect(opened)
        spoil(store, lambda raw: rows.update({name: raw.rows(name) for name in JOB_TABLES}))
        wrong += [f"killed at call {at}: rows of {name} are left" for name in rows if rows[name]]
        if not killed:
            break
    summary(f"kill -9 in the removal of a job: {at - 1} calls, {len(wrong)} violations")
    assert at > 5
    assert not wrong, "\n".join(wrong[:20])
