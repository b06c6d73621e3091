"""The recorder and the replay see what they are for: right programs hold, wrong ones do not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from lmdb.verify import VerifyError, verify

from tests.crash.recorder import Fault, Recorder, read_log
from tests.crash.replay import Disk, State, crash_states, read_tree, write_tree

_REPLACE = """
import os, sys
root, sync, sync_folder = sys.argv[1], "f" in sys.argv[2], "d" in sys.argv[2]
for number in range(6):
    path = f"{root}/out{number % 2}"
    fd = os.open(path + ".part", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(fd, bytes([number]) * 5000)
    os.pwritev(fd, [bytes([number]) * 5000, bytes([number]) * 10000], 5000)
    if sync:
        os.fsync(fd)
    os.close(fd)
    os.rename(path + ".part", path)
    if sync_folder:
        folder = os.open(root, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    os.write(1, b"%d" % number)
"""

_COMMIT = """
import lmdb, os, sys
root, sync = sys.argv[1], sys.argv[2] == "sync"
environment = lmdb.open(root, map_size=1 << 28, sync=sync)
folder = os.open(root, os.O_RDONLY)
os.fsync(folder)
for number in range(6):
    with environment.begin(write=True) as txn:
        for part in range(6):
            txn.put(b"%d-%d" % (number, part), bytes([number]) * (3000 + 5000 * part))
        txn.delete(b"%d-1" % (number - 3))
    os.write(1, b"%d" % number)
"""

_faults: Callable[[str], list[str]] = verify  # which has no types of its own


def _states(recorder: Recorder, root: Path, log: Path, script: str, how: str) -> list[State]:
    before = Disk(root)
    done = recorder.run([sys.executable, "-c", script, str(root), how], root, log)
    assert done.returncode == 0, done.stderr
    ops = read_log(log)
    states = list(crash_states(before, ops, seed=7, rounds=3))
    assert before.now() == read_tree(root), "the recorder missed something"
    return states


def _torn_files(state: State) -> bool:
    """Whether a visible file is torn, or one that was announced is missing or old."""
    for number in range(2):
        data = state.tree.get(f"out{number}")
        announced = [int(chr(n)) for n in state.answered if int(chr(n)) % 2 == number]
        if not isinstance(data, bytes):
            if announced:
                return True
        elif len(data) != 20000 or len(set(data)) != 1 or data[0] < max(announced, default=0):
            return True
    return False


@pytest.mark.parametrize(("how", "holds"), [("fd", True), ("d", False), ("f", False)])
def test_replacing_files(
    recorder: Recorder, tmp_path: Path, how: str, holds: bool, summary: Callable[[str], None]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    states = _states(recorder, root, tmp_path / "log", _REPLACE, how)
    torn = sum(map(_torn_files, states))
    assert (torn == 0) is holds
    summary(f"replace a file, syncs {how!r}: {len(states)} states, {torn} violations")


def _broken_database(state: State, folder: Path) -> bool:
    folder.mkdir()
    write_tree(state.tree, folder)
    if not state.tree.get("data.mdb"):
        return bool(state.answered)
    try:
        if _faults(str(folder)):
            return True
        with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as txn:
            keys = {key for key, _ in txn.cursor()}
            values = all(len(set(value)) == 1 for _, value in txn.cursor())
    except (lmdb.Error, VerifyError):
        return bool(state.answered)
    last = int(chr(state.answered[-1])) if state.answered else -1
    return not values or any(b"%d-0" % number not in keys for number in range(last + 1))


@pytest.mark.parametrize(("how", "holds"), [("sync", True), ("nosync", False)])
def test_committing_to_lmdb(
    recorder: Recorder, quick_path: Path, how: str, holds: bool, summary: Callable[[str], None]
) -> None:
    root = quick_path / "root"
    root.mkdir()
    states = _states(recorder, root, quick_path / "log", _COMMIT, how)
    broken = sum(
        _broken_database(state, quick_path / f"{number}") for number, state in enumerate(states)
    )
    assert (broken == 0) is holds
    summary(f"commit to LMDB, {how}: {len(states)} states, {broken} violations")


def test_a_fault_strikes_once_and_is_logged(recorder: Recorder, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    command = [sys.executable, "-c", _REPLACE, str(root), "fd"]
    log = tmp_path / "log"

    done = recorder.run(command, root, log, fault=Fault("before", 3))
    assert done.returncode == -signal.SIGKILL
    assert [op.kind for op in read_log(log)] == ["c", "w", "F"]
    log.unlink()
    os.unlink(root / "out0.part")

    done = recorder.run(command, root, log, fault=Fault("during", 3))
    assert done.returncode == -signal.SIGKILL
    assert [op.kind for op in read_log(log)] == ["c", "w", "F", "w"]
    assert (root / "out0.part").stat().st_size == 5000 + 15000 // 2
    log.unlink()

    done = recorder.run(command, root, log, fault=Fault("error", 2, errno=5, only="s"))
    assert b"OSError: [Errno 5]" in done.stderr
    assert [op.kind for op in read_log(log)][-1] == "F"
    assert (root / "out0").exists()
