"""A command is killed, run again, and then power fails.

What the second run acknowledged must be durable, although the first run did part of the work
without a sync.
"""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from casync.errors import CasyncError
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import casync, environment
from tests.crash.material import image
from tests.crash.origin import Origin, prepared, serving
from tests.crash.promises import Acknowledged, broken_promises
from tests.crash.recorder import Fault, Recorder, read_log
from tests.crash.replay import Disk, Tree, harshest_state, write_tree

Check = Callable[[Tree], list[str]]


def _sweep(
    recorder: Recorder,
    command: Sequence[str],
    folder: Path,
    fresh: Callable[[Path], None],
    check: Check,
) -> tuple[int, list[str]]:
    """Kills `command` at each of its calls, runs it again, and takes away all that is not synced.

    Args:
        recorder: Kills and records.
        command: Works in `folder`/disk.
        folder: Where.
        fresh: Sets the disk up.
        check: Says what is wrong with what is left.
    """
    root, log = folder / "disk", folder / "log"
    wrong: list[str] = []
    for at in itertools.count(1):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        log.unlink(missing_ok=True)
        fresh(root)
        disk = Disk(root)
        fault = Fault("before", at)
        killed = recorder.run(command, root, log, fault=fault, env=environment())
        again = recorder.run(command, root, log, env=environment())
        assert again.returncode == 0, again.stderr.decode()
        left = harshest_state(disk, read_log(log))
        wrong += [f"killed at call {at}: {line}" for line in check(left)]
        if killed.returncode != -signal.SIGKILL:
            return at - 1, wrong
    raise AssertionError("unreachable")


def test_prepare_killed_and_run_again(
    recorder: Recorder, quick_path: Path, summary: Callable[[str], None]
) -> None:
    data = image(40, 1 << 20)
    known = prepared(quick_path / "reference", data, folder=quick_path)
    store = Path("state", "store")
    command = casync(
        *("prepare", "--name", "disk", "--store", quick_path / "disk" / store),
        quick_path / "input",
    )

    def check(left: Tree) -> list[str]:
        folder = quick_path / "left"
        folder.mkdir()
        write_tree(left, folder)
        try:
            with LmdbStore.open(folder / store) as found:
                return broken_promises(found, known, Acknowledged(known, {"disk": 1}))
        except CasyncError as error:
            return [error.message]
        finally:
            shutil.rmtree(folder)

    points, wrong = _sweep(recorder, command, quick_path, lambda _: None, check)
    summary(f"kill -9, then power loss, in prepare: {points} calls, {len(wrong)} violations")
    assert points >= 10
    assert not wrong, "\n".join(wrong[:20])


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=2 << 20, seed=41) as found:
        yield found


@pytest.mark.parametrize("flags", [(), ("--in-place",)], ids=["replace", "in place"])
def test_pull_killed_and_run_again(
    recorder: Recorder,
    quick_path: Path,
    origin: Origin,
    flags: tuple[str, ...],
    summary: Callable[[str], None],
    request: pytest.FixtureRequest,
) -> None:
    old, new = origin.known.values()
    options = ["--store", str(quick_path / "disk" / "store"), "--server", origin.url, *flags]
    target = quick_path / "disk" / "target"
    command = casync("pull", origin.hashes[1], "-o", target, *options)

    def check(left: Tree) -> list[str]:
        data = left.get("target")
        if data == new:
            return []
        return [f"the target is {'the old one' if data == old else 'torn' if data else 'gone'}"]

    template = quick_path / "template"
    prepared(template, b"something else", folder=quick_path)

    def fresh(root: Path) -> None:
        (root / "target").write_bytes(old)
        shutil.copytree(template, root / "store")

    points, wrong = _sweep(recorder, command, quick_path, fresh, check)
    summary(
        f"kill -9, then power loss, in pull, {request.node.callspec.id}: {points} calls, "
        f"{len(wrong)} violations"
    )
    assert points >= 10
    assert not wrong, "\n".join(wrong[:20])
