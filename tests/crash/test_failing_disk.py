"""Each call fails once. Nothing acknowledged is lost, and nothing relies on a failed write."""

from __future__ import annotations

import errno
import itertools
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import casync, environment, execute, run
from tests.crash.material import image, noise, updated
from tests.crash.origin import Origin, prepared, serving
from tests.crash.promises import Acknowledged, store_violations
from tests.crash.recorder import Fault, Op, Recorder, read_log
from tests.crash.tools import tool

_EXITS: Final = {errno.ENOSPC: {6}, errno.EIO: {1, 4}}
_ERRORS: Final = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
_CLASSES: Final = pytest.mark.parametrize("only", ["s", "w", "n"], ids=["syncs", "writes", "names"])
_WORDS: Final = {"s": "syncs", "w": "writes", "n": "names"}


def _sweep(
    recorder: Recorder,
    command: Sequence[str],
    folder: Path,
    code: int,
    only: str,
    fresh: Callable[[Path], None],
    check: Callable[[subprocess.CompletedProcess[bytes]], list[str]],
    needed: Callable[[str], bool] = lambda _: True,
) -> tuple[Counter[int], list[str]]:
    """Lets each call of a class fail, once.

    Args:
        recorder: Makes it fail.
        command: Works in `folder`/disk.
        folder: Where.
        code: What it fails with.
        only: The class.
        fresh: Sets the disk up.
        check: Says what is wrong after the command, and runs it again.
        needed: Whether nothing can be well when a sync of this path failed.

    Returns:
        How often each exit status came, and what was wrong.
    """
    root, log = folder / "disk", folder / "log"
    exits: Counter[int] = Counter()
    wrong: list[str] = []
    for at in itertools.count(1):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        log.unlink(missing_ok=True)
        fresh(root)
        fault = Fault("error", at, errno=code, only=only)
        done = recorder.run(command, root, log, fault=fault, env=environment())
        ops = read_log(log)
        struck = next((number for number, op in enumerate(ops) if op.kind == "F"), None)
        if struck is None:
            assert done.returncode == 0, done.stderr.decode()
            return exits, wrong
        exits[done.returncode] += 1
        label = f"call {at}, {ops[struck].path}"
        if done.returncode == 0 and only == "s" and needed(ops[struck].path):
            wrong.append(f"{label}: a sync failed, and all was said to be well")
        wrong += [f"{label}: {line}" for line in _unfit(done, code)]
        wrong += [f"{label}: {line}" for line in _built_upon(ops[struck:])]
        wrong += [f"{label}: {line}" for line in check(done)]
    raise AssertionError("unreachable")


def _unfit(done: subprocess.CompletedProcess[bytes], code: int) -> list[str]:
    """What is wrong with how the command ended. Something that is not needed may fail."""
    if done.returncode == 0:
        return []
    said = done.stderr.decode()
    wrong = []
    if done.returncode not in _EXITS[code]:
        wrong.append(f"exit status {done.returncode}: {said}")
    if len(said.splitlines()) > 8 or "Traceback" in said:
        wrong.append(f"it says: {said}")
    return wrong


def _built_upon(ops: Sequence[Op]) -> list[str]:
    """What was done to a file, after a sync of it had failed, that makes its bytes count."""
    failed = ops[0]
    if failed.other != "s":
        return []
    wrong: list[str] = []
    for op in ops[1:]:
        if op.kind == "W" and op.path == failed.path:
            wrong.append("a commit followed the failed sync")
        if op.kind == "r" and op.path == failed.path:
            wrong.append("the file got its name after the failed sync")
    return wrong


@_ERRORS
@pytest.mark.parametrize("only", ["s", "w"], ids=["syncs", "writes"])
def test_prepare_on_a_failing_disk(
    recorder: Recorder, quick_path: Path, code: int, only: str, summary: Callable[[str], None]
) -> None:
    """Three commits, any of which may fail."""
    old = image(50, 1 << 20)
    template = quick_path / "template"
    known = prepared(template, old, folder=quick_path)
    # Only noise fills several commits; writes need no more than one.
    new = updated(old, 51) + noise(52, 70 << 20 if only == "s" else 1 << 20)
    known |= prepared(quick_path / "reference", new, folder=quick_path)
    first, second = known
    store = quick_path / "disk" / "store"
    command = casync("prepare", "--store", store, "--name", "disk", quick_path / "input")

    def fresh(root: Path) -> None:
        shutil.copytree(template, root / "store")

    def check(done: subprocess.CompletedProcess[bytes]) -> list[str]:
        said = done.stdout.decode().split()
        wrong = store_violations(store, known, Acknowledged([first, *said]))
        if done.returncode == 0 and said != [second]:
            wrong.append("it ended well without printing the hash")
        if done.returncode not in (0, 1) and str(store).encode() not in done.stderr:
            wrong.append(f"the message does not name the store: {done.stderr.decode()}")
        again = execute(command)
        if again.returncode:
            wrong.append(f"the rerun failed: {again.stderr.decode()}")
        return wrong + store_violations(store, known, Acknowledged([first, second], {"disk": 1}))

    exits, wrong = _sweep(recorder, command, quick_path, code, only, fresh, check)
    summary(
        f"{errno.errorcode[code]} in prepare, {_WORDS[only]}: {exits.total()} calls, "
        f"exits {dict(exits)}, {len(wrong)} violations"
    )
    assert exits.total() >= 3
    assert not wrong, "\n".join(wrong[:20])


@_ERRORS
@_CLASSES
def test_a_new_store_on_a_failing_disk(
    recorder: Recorder, quick_path: Path, code: int, only: str, summary: Callable[[str], None]
) -> None:
    known = prepared(quick_path / "reference", image(53, 300_000), folder=quick_path)
    (hash_,) = known
    store = quick_path / "disk" / "deep" / "store"
    command = casync("prepare", "--store", store, quick_path / "input")

    def check(done: subprocess.CompletedProcess[bytes]) -> list[str]:
        wrong = store_violations(store, known, Acknowledged(done.stdout.decode().split()))
        again = execute(command)
        if again.returncode:
            wrong.append(f"the rerun failed: {again.stderr.decode()}")
        return wrong + store_violations(store, known, Acknowledged([hash_]))

    exits, wrong = _sweep(recorder, command, quick_path, code, only, lambda _: None, check)
    summary(
        f"{errno.errorcode[code]} in a new store, {_WORDS[only]}: {exits.total()} calls, "
        f"exits {dict(exits)}, {len(wrong)} violations"
    )
    assert exits.total() >= 3
    assert not wrong, "\n".join(wrong[:20])


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=2 << 20, seed=54) as found:
        yield found


@_ERRORS
@_CLASSES
def test_pull_to_a_failing_disk(
    recorder: Recorder,
    quick_path: Path,
    origin: Origin,
    code: int,
    only: str,
    summary: Callable[[str], None],
) -> None:
    old, new = origin.known.values()
    target, store = quick_path / "disk" / "there" / "target", quick_path / "disk" / "store"
    options = ["--store", str(store), "--server", origin.url]
    command = casync("pull", origin.hashes[1], "-o", target, *options)

    def fresh(_: Path) -> None:
        target.parent.mkdir()
        target.write_bytes(old)

    def needed(path: str) -> bool:
        # Without a store the pull continues, and the old target is only a seed.
        return "/there" in path and path != str(target)

    def check(done: subprocess.CompletedProcess[bytes]) -> list[str]:
        data = target.read_bytes()
        wrong = store_violations(store, origin.known, Acknowledged([]))
        if data != new and (data != old or done.returncode == 0):
            wrong.append(f"exit status {done.returncode}, and the target is not what it must be")
        again = execute(command)
        if again.returncode or target.read_bytes() != new:
            wrong.append(f"the rerun failed: {again.stderr.decode()}")
        left = {path.name for path in target.parent.iterdir()} - {"target"}
        return wrong + [f"left over: {name}" for name in left]

    exits, wrong = _sweep(recorder, command, quick_path, code, only, fresh, check, needed)
    summary(
        f"{errno.errorcode[code]} in pull, {_WORDS[only]}: {exits.total()} calls, "
        f"exits {dict(exits)}, {len(wrong)} violations"
    )
    assert exits.total() >= 3
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("calls", ["fdatasync,fsync", "pwrite64,pwritev,pwritev2,writev"])
@_ERRORS
def test_prepare_with_failing_system_calls(
    quick_path: Path, code: int, calls: str, summary: Callable[[str], None]
) -> None:
    """As above with strace, which also sees calls that bypass the recorder."""
    old = image(55, 1 << 20)
    template = quick_path / "template"
    known = prepared(template, old, folder=quick_path)
    known |= prepared(quick_path / "reference", updated(old, 56), folder=quick_path)
    first, second = known
    store = quick_path / "store"
    strace = [tool("strace"), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    exits: Counter[int] = Counter()
    for at in itertools.count(1):
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(template, store)
        inject = f"inject={calls}:error={errno.errorcode[code]}:when={at}"
        command = ("prepare", "--store", store, quick_path / "input")
        done = run(*command, before=[*strace, "-e", inject])
        said = done.stdout.decode().split()
        assert not store_violations(store, known, Acknowledged([first, *said]))
        if done.returncode == 0:
            break
        exits[done.returncode] += 1
        assert done.returncode in _EXITS[code], done.stderr.decode()
        again = run(*command)
        assert again.returncode == 0, again.stderr.decode()
        assert not store_violations(store, known, Acknowledged([first, second]))
    summary(
        f"{errno.errorcode[code]} by strace in prepare, {calls}: exits {dict(exits)}, 0 violations"
    )
    assert exits.total() >= 1
