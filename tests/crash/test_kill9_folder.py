"""F28, F38: kill -9 at every call that writes, of a pull into a folder.

Each file in its place is the old one or the new one at any time; the same command completes what
was interrupted, takes what was staged, and leaves nothing behind.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import Server, casync, environment, execute, run
from tests.crash.material import noise
from tests.crash.recorder import Fault, Recorder
from tests.unit.ops.folders import seen

_MOST: Final = 3000
_LONG_AGO: Final = 1_600_000_000_123_456_789


def _grow(root: Path, version: int) -> None:
    """One of two versions of a folder."""
    (root / "sub" / "deep").mkdir(parents=True)
    (root / f"only {version}").mkdir()
    for number in range(6):
        (root / "sub" / f"{number}").write_bytes(noise(number * (version + 1), 500 + number))
    large = bytearray(noise(99, 400_000))
    if version:
        large[200_000:200_010] = b"inserted here"
    (root / "sub" / "deep" / "large").write_bytes(large)
    (root / "same").write_bytes(noise(7, 3000))
    (root / "link").symlink_to(f"sub/{version}")
    (root / f"only {version}" / "empty").touch()
    os.link(root / "sub" / f"{version}", root / "two names")
    kind = root / "kind"
    kind.mkdir() if version else kind.touch()
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(_LONG_AGO, _LONG_AGO + version), follow_symlinks=False)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Path], str]]:
    """Both versions on disk, and a server that has them as `www@1` and `www@2`."""
    place = tmp_path_factory.mktemp("versions")
    roots = [place / "old", place / "new"]
    for version, root in enumerate(roots):
        _grow(root, version)
        done = run("prepare", root, "--store", place / "store", "--name", "www")
        assert done.returncode == 0, done.stderr.decode()
    with Server(place / "store") as server:
        yield roots, server.url


@pytest.mark.parametrize("there", [False, True], ids=["fresh", "replace"])
@pytest.mark.parametrize("how", ["before", "during"])
def test_pull_of_a_folder_killed_at_every_call(
    recorder: Recorder,
    quick_path: Path,
    versions: tuple[list[Path], str],
    there: bool,
    how: str,
    summary: Callable[[str], None],
) -> None:
    (old, new), url = versions
    root, log = quick_path / "root", quick_path / "log"
    target, template = root / "copy", quick_path / "template"
    store = root / "store"
    given = ("--store", store, "--server", url, "--delete", "--json")
    command = casync("pull", "www@2", "-o", target, *given)
    template.mkdir()
    if there:
        root.mkdir()
        done = run("pull", "www@1", "-o", target, *given)
        assert done.returncode == 0, done.stderr.decode()
        shutil.copytree(root, template, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(template / "copy")
        shutil.rmtree(root)
    good = {path: seen(path) for path in (old, new)}
    wrong: list[str] = []
    staged = 0
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        if there:
            _grow(target, 0)
        log.unlink(missing_ok=True)
        done = recorder.run(command, root, log, fault=Fault(how, at), env=environment())
        killed = done.returncode == -signal.SIGKILL
        if target.exists():
            wrong += [f"killed at call {at}: {line}" for line in _torn(target, good, old, new)]
        if not killed:
            assert done.returncode == 0, done.stderr.decode()
        again = execute(command)
        if again.returncode:
            wrong.append(f"killed at call {at}: the rerun failed: {again.stderr.decode()}")
        else:
            staged = max(staged, json.loads(again.stdout)["sources"].get("staged", 0))
            if seen(target) != good[new]:
                wrong.append(f"killed at call {at}: the rerun gave another folder")
        if not killed:
            break
    else:
        raise AssertionError(f"no end after {_MOST} calls")
    summary(
        f"kill -9 in pull of a folder, {there=}, {how}: {at - 1} calls, {len(wrong)} violations"
    )
    assert at > 50
    assert staged > 100_000
    assert not wrong, "\n".join(wrong[:20])


def _torn(
    target: Path, good: dict[Path, dict[str, tuple[object, ...]]], old: Path, new: Path
) -> Iterator[str]:
    """Files that have neither the old nor the new bytes."""
    for path in target.rglob("*"):
        where = str(path.relative_to(target))
        if where.startswith(".casync-part") or not path.is_file() or path.is_symlink():
            continue
        known = [good[root][where][4] for root in (old, new) if where in good[root]]
        if path.read_bytes() not in known:
            yield f"{where} is neither the old nor the new one"
