"""Kill -9 at every call that writes, of a pull into a folder.

Each file is the old or the new one at any time. The same command completes an interrupted pull,
uses staged files, and leaves nothing behind.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.crash.commands import casync, environment, execute, run
from tests.crash.folders import Versions, grow, serving_folders
from tests.crash.recorder import Fault, Recorder
from tests.support.folder_worlds import seen

_MOST: Final = 3000


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    with serving_folders(tmp_path_factory.mktemp("versions")) as found:
        yield found


@pytest.mark.parametrize("there", [False, True], ids=["fresh", "replace"])
@pytest.mark.parametrize("how", ["before", "during"])
def test_pull_of_a_folder_killed_at_every_call(
    recorder: Recorder,
    quick_path: Path,
    versions: Versions,
    there: bool,
    how: str,
    summary: Callable[[str], None],
) -> None:
    root, log = quick_path / "root", quick_path / "log"
    target, template = root / "copy", quick_path / "template"
    store = root / "store"
    given = ("--store", store, "--server", versions.url, "--delete", "--json")
    command = casync("pull", "www@2", "-o", target, *given)
    template.mkdir()
    if there:
        root.mkdir()
        done = run("pull", "www@1", "-o", target, *given)
        assert done.returncode == 0, done.stderr.decode()
        shutil.copytree(root, template, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(template / "copy")
        shutil.rmtree(root)
    wrong: list[str] = []
    staged = 0
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        if there:
            grow(target, 0)
        log.unlink(missing_ok=True)
        done = recorder.run(command, root, log, fault=Fault(how, at), env=environment())
        killed = done.returncode == -signal.SIGKILL
        if target.exists():
            wrong += [f"killed at call {at}: {line}" for line in versions.torn(target)]
        if not killed:
            assert done.returncode == 0, done.stderr.decode()
        again = execute(command)
        if again.returncode:
            wrong.append(f"killed at call {at}: the rerun failed: {again.stderr.decode()}")
        else:
            staged = max(staged, json.loads(again.stdout)["sources"].get("staged", 0))
            if seen(target) != versions.seen[1]:
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
