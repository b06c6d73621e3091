"""Kill -9 at every call that writes, of `prepare` and of `pull`.

Two ways to strike. The recorder counts calls over all threads, so its sweeps are complete; strace
counts each thread by itself, so its sweeps strike where no library of ours was asked.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.crash.commands import casync, environment, execute
from tests.crash.material import image, updated
from tests.crash.origin import Origin, prepared, serving
from tests.crash.promises import Acknowledged, store_violations
from tests.crash.recorder import Fault, Recorder
from tests.crash.tools import tool

_CALLS: Final = (
    "pwrite64,pwritev,pwritev2,write,writev,fdatasync,fsync,rename,renameat,renameat2,"
    "ftruncate,fallocate,unlink,unlinkat,mkdir,mkdirat"
)
_MOST: Final = 2000
_STORE_FILES: Final = {"data.mdb", "lock.mdb", "store.lock"}

Killer = Callable[[Sequence[str], Path, int], "subprocess.CompletedProcess[bytes]"]
"""Runs a command that works below a root, and kills it at the given call."""


@pytest.fixture(params=["recorder", "strace"])
def kill(request: pytest.FixtureRequest, tmp_path: Path) -> Killer:
    if request.param == "strace":
        return _kill_by_strace
    recorder: Recorder = request.getfixturevalue("recorder")

    def kill_by_recorder(
        command: Sequence[str], root: Path, at: int
    ) -> subprocess.CompletedProcess[bytes]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        return recorder.run(command, root, log, fault=Fault("before", at), env=environment())

    return kill_by_recorder


def _kill_by_strace(
    command: Sequence[str], root: Path, at: int
) -> subprocess.CompletedProcess[bytes]:
    inject = f"inject={_CALLS}:signal=SIGKILL:when={at}"
    strace = [tool("strace"), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={_CALLS}"]
    return subprocess.run(
        [*strace, "-e", inject, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=120,
        check=False,
    )


def _sweep(
    kill: Killer,
    command: Sequence[str],
    root: Path,
    fresh: Callable[[], None],
    check: Callable[[str], list[str]],
) -> tuple[int, list[str]]:
    """Kills a command at each of its calls, and once lets it end.

    Args:
        kill: How.
        command: What.
        root: Where it works.
        fresh: Sets `root` up.
        check: Looks at `root`, given what was printed, and says what is wrong.

    Returns:
        How often it was killed, and what was wrong.
    """
    wrong: list[str] = []
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        fresh()
        done = kill(command, root, at)
        # Something half printed was not said.
        said = done.stdout.decode().rpartition("\n")[0]
        wrong += [f"killed at call {at}: {line}" for line in check(said)]
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr.decode()
            return at - 1, wrong
    raise AssertionError(f"no end after {_MOST} calls")


# -- prepare --------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True], ids=["new store", "old store"])
def test_prepare_killed_at_every_call(
    kill: Killer,
    quick_path: Path,
    there: bool,
    request: pytest.FixtureRequest,
    summary: Callable[[str], None],
) -> None:
    old = image(10, 2 << 20)
    new = updated(old, 11)
    template = quick_path / "template"
    known = prepared(template, old, new, folder=quick_path)
    first, second = known
    shutil.rmtree(template)
    if there:
        prepared(template, old, folder=quick_path)
    (quick_path / "input").write_bytes(new)
    root = quick_path / "root"
    store = root / "state" / "store"
    command = casync("prepare", "--store", store, "--name", "disk", quick_path / "input")

    def fresh() -> None:
        if there:
            shutil.copytree(template, store)

    def check(said: str) -> list[str]:
        acknowledged = [first] * there + said.split()
        names = {"disk": 1} if said else {}
        wrong = store_violations(store, known, Acknowledged(acknowledged, names))
        again = execute(command)
        if again.returncode or again.stdout.decode().strip() != second:
            wrong.append(f"the rerun failed: {again.returncode} {again.stderr.decode()}")
        acknowledged.append(second)
        wrong += store_violations(store, known, Acknowledged(acknowledged, {"disk": 1}))
        left = {path.name for path in store.iterdir()} - _STORE_FILES
        return wrong + [f"left over: {name}" for name in left]

    points, wrong = _sweep(kill, command, root, fresh, check)
    summary(
        f"kill -9 in prepare, {request.node.callspec.id}: {points} calls, {len(wrong)} violations"
    )
    assert points >= 3
    assert not wrong, "\n".join(wrong[:20])


# -- pull -----------------------------------------------------------------------------------------


class _Case(NamedTuple):
    """One way to pull the new version.

    Attributes:
        target: Whether the old version is at the target before, pulled by this store.
        flags: Of the command.
    """

    target: bool
    flags: tuple[str, ...]


_CASES: Final = {
    "fresh": _Case(False, ()),
    "replace": _Case(True, ()),
    "fresh cache": _Case(False, ("--cache",)),
    "in place": _Case(True, ("--in-place",)),
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=4 << 20, seed=12) as found:
        yield found


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
def test_pull_killed_at_every_call(
    kill: Killer,
    quick_path: Path,
    origin: Origin,
    case: _Case,
    request: pytest.FixtureRequest,
    summary: Callable[[str], None],
) -> None:
    root = quick_path / "root"
    folder, store = root / "there", root / "store"
    target = folder / "disk.img"
    old, new = origin.hashes
    saved: list[int] = []

    def pull(hash_: str, *flags: str) -> list[str]:
        return casync(
            "pull", hash_, "-o", target, "--store", store, "--server", origin.url, "--json", *flags
        )

    command = pull(new, *case.flags)

    template = quick_path / "template"
    known = origin.known | prepared(template, b"something else", folder=quick_path)

    def fresh() -> None:
        folder.mkdir()
        shutil.copytree(template, store)
        if case.target:
            assert execute(pull(old)).returncode == 0

    def check(said: str) -> list[str]:
        wrong = _target_violations(target, origin, said, case)
        kept = [new] if said and "--cache" in case.flags else []
        wrong += store_violations(store, known, Acknowledged(kept))
        part = next(folder.glob(".*"), None)
        missing = origin.missing(new, part)
        again = execute(command)
        if again.returncode:
            return [*wrong, f"the rerun failed: {again.returncode} {again.stderr.decode()}"]
        sources = json.loads(again.stdout)["sources"]
        if sources.get("server", 0) > missing:
            wrong.append(f"the rerun fetched {sources['server']} bytes; {missing} were missing")
        saved.append(sources.get("part file", 0))
        if target.read_bytes() != origin.known[new]:
            wrong.append("the rerun gave other bytes")
        left = {path.name for path in folder.iterdir()} - {target.name}
        left |= {path.name for path in store.iterdir()} - _STORE_FILES
        wrong += [f"left over: {name}" for name in left]
        kept = [new] if "--cache" in case.flags else []
        return wrong + store_violations(store, known, Acknowledged(kept))

    points, wrong = _sweep(kill, command, root, fresh, check)
    summary(
        f"kill -9 in pull, {request.node.callspec.id}: {points} calls, {len(wrong)} violations, "
        f"up to {max(saved) / 2**20:.1f} MiB taken from part files"
    )
    assert points >= 10
    assert max(saved) > 0 or "--in-place" in case.flags
    assert not wrong, "\n".join(wrong[:20])


def _target_violations(target: Path, origin: Origin, said: str, case: _Case) -> list[str]:
    old, new = map(origin.known.get, origin.hashes)
    data = target.read_bytes() if target.exists() else None
    if said:
        return [] if data == new else ["the target was announced, but is not the new one"]
    if "--in-place" in case.flags or data == new or data == (old if case.target else None):
        return []
    return ["the target is neither the old nor the new one"]
