"""Power fails while `pull` runs. The target is absent, old or new; a rerun completes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casync.api import pull
from casync.errors import CasyncError
from casync.ops.pull.wanted import PullOptions
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import casync, environment
from tests.crash.origin import Origin, serving
from tests.crash.promises import Acknowledged, broken_promises
from tests.crash.recorder import Recorder, read_log
from tests.crash.replay import Disk, State, crash_states, read_tree, write_tree

_SEED = 20260102
_TARGET = "there/disk.img"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=2 << 20, seed=4) as found:
        yield found


@pytest.mark.parametrize(
    "flags", [(), ("--cache",), ("--in-place",)], ids=["plain", "cache", "in place"]
)
def test_every_crash_of_pull_leaves_the_old_or_the_new_target(
    recorder: Recorder,
    quick_path: Path,
    origin: Origin,
    flags: tuple[str, ...],
    summary: Callable[[str], None],
) -> None:
    root, log = quick_path / "disk", quick_path / "log"
    (root / _TARGET).parent.mkdir(parents=True)
    before = Disk(root)
    for hash_ in origin.hashes:
        options = ["--store", str(root / "store"), "--server", origin.url, "--json", *flags]
        done = recorder.run(
            casync("pull", hash_, "-o", root / _TARGET, *options),
            root,
            log,
            env=environment(),
        )
        assert done.returncode == 0, done.stderr
    ops = read_log(log)
    violations: list[str] = []
    tried = 0
    for state in crash_states(before, ops, _SEED, rounds=3):
        tried += 1
        violations += _violations(state, origin, flags, quick_path / "state")
    assert before.now() == read_tree(root), "the recorder missed something"
    summary(
        f"power loss in pull {' '.join(flags)}: {tried} states of {len(ops)} calls, "
        f"seed {_SEED}, {len(violations)} violations"
    )
    assert not violations, "\n".join(violations[:20])
    assert tried >= 300


def _violations(state: State, origin: Origin, flags: tuple[str, ...], folder: Path) -> list[str]:
    folder.mkdir()
    write_tree(state.tree, folder)
    wrong: list[str] = []
    try:
        wrong += _target_violations(state, origin, "--in-place" in flags)
        with LmdbStore.open(folder / "store", create=True) as store:
            kept = _announced(state, origin) if "--cache" in flags else []
            wrong += broken_promises(store, origin.known, Acknowledged(kept))
            options = PullOptions(in_place="--in-place" in flags, cache="--cache" in flags)
            target = folder / _TARGET
            target.parent.mkdir(exist_ok=True)
            pull(origin.hashes[1], target, store=store, servers=[origin.url], options=options)
            if target.read_bytes() != origin.known[origin.hashes[1]]:
                wrong.append("pulling again gives other bytes")
            if len(list(target.parent.iterdir())) != 1:
                wrong.append(f"pulling again leaves {sorted(target.parent.iterdir())}")
            wrong += broken_promises(store, origin.known, Acknowledged(kept))
    except CasyncError as error:
        wrong.append(f"{type(error).__name__}: {error.message}")
    finally:
        shutil.rmtree(folder)
    return [f"{state.label}: {line}" for line in wrong]


def _announced(state: State, origin: Origin) -> list[str]:
    """The pulls that had said that they were done."""
    ended = 0
    rest = state.answered.decode()
    while rest.strip():
        try:
            _, at = json.JSONDecoder().raw_decode(rest.lstrip())
        except json.JSONDecodeError:
            break
        rest = rest.lstrip()[at:]
        ended += 1
    return origin.hashes[:ended]


def _target_violations(state: State, origin: Origin, in_place: bool) -> list[str]:
    announced = _announced(state, origin)
    data = state.tree.get(_TARGET)
    found = [hash_ for hash_ in origin.hashes if origin.known[hash_] == data]
    if data is None:
        return ["the target was announced and is gone"] if announced else []
    # The first pull had nothing to overwrite, so it was an ordinary one.
    if not found and not (in_place and len(announced) == 1):
        return ["the target is torn"]
    if len(announced) == 2 and found != announced[1:]:
        return ["the target was announced and is the old one"]
    return []
