"""Power fails while `prepare` runs. What it printed is there, and the store works."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from casync.api import prepare
from casync.errors import CasyncError
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import casync, environment
from tests.crash.material import image, noise, updated
from tests.crash.promises import Acknowledged, broken_promises
from tests.crash.recorder import Recorder, read_log
from tests.crash.replay import Disk, State, crash_states, read_tree, write_tree

_SEED = 20260101
_STORE = "deep/state/store"
"""Its parents do not exist before."""


def test_every_crash_of_prepare_keeps_what_was_acknowledged(
    recorder: Recorder, quick_path: Path, summary: Callable[[str], None]
) -> None:
    root, log = quick_path / "disk", quick_path / "log"
    root.mkdir()
    before = Disk(root)
    inputs = _inputs(quick_path)
    known = _prepare_all(recorder, root, log, inputs)
    ops = read_log(log)
    violations: list[str] = []
    tried = 0
    for state in crash_states(before, ops, _SEED, rounds=25):
        tried += 1
        violations += _violations(state, known, inputs, quick_path / "state")
    assert before.now() == read_tree(root), "the recorder missed something"
    kinds = dict(Counter(op.kind for op in ops))
    summary(
        f"power loss in prepare: {tried} states of {len(ops)} calls {kinds}, seed {_SEED}, "
        f"{len(violations)} violations"
    )
    assert not violations, "\n".join(violations[:20])
    assert tried >= 300


def _inputs(folder: Path) -> list[Path]:
    old = image(1, 3 << 20)
    contents = {"old": old, "new": updated(old, 2), "noise": noise(3, 2 << 20)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in ("old", "new", "old", "noise")]


def _prepare_all(recorder: Recorder, root: Path, log: Path, inputs: list[Path]) -> dict[str, bytes]:
    """Prepares each input under one name; returns the contents by hash."""
    known: dict[str, bytes] = {}
    for path in inputs:
        with path.open("rb") as stream:
            done = recorder.run(
                casync("prepare", "--store", root / _STORE, "--name", "disk"),
                root,
                log,
                env=environment(),
                stdin=stream,
            )
        assert done.returncode == 0, done.stderr
        known[done.stdout.decode().strip()] = path.read_bytes()
    return known


def _violations(
    state: State, known: dict[str, bytes], inputs: list[Path], folder: Path
) -> list[str]:
    """What does not hold in one state, after the command was simply run again, too."""
    folder.mkdir()
    write_tree(state.tree, folder)
    printed = state.answered.decode().split("\n")[:-1]
    names = {"disk": len(printed)} if printed else {}
    acknowledged = Acknowledged(printed, names)
    try:
        with LmdbStore.open(folder / _STORE, create=True) as store:
            wrong = broken_promises(store, known, acknowledged)
            again = prepare(inputs[1], store)
            if known.get(again.manifest.hex()) != inputs[1].read_bytes():
                wrong.append("preparing again gives another hash")
            wrong += broken_promises(store, known, Acknowledged([again.manifest.hex()]))
    except CasyncError as error:
        wrong = [f"{type(error).__name__}: {error.message}"]
    finally:
        shutil.rmtree(folder)
    return [f"{state.label}: {line}" for line in wrong]
