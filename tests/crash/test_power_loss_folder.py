"""Power fails while a folder is pulled. Each file is the old or the new one; a rerun ends it.

Files move to their places when they are synced: each by itself where they are few, by a sync of the
file system where they are many. Both ways are tried.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from casync.api import pull
from casync.errors import CasyncError
from casync.ops.pull_folder.plan import FolderOptions
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import casync, environment, run
from tests.crash.folders import STAGING, Versions, serving_folders
from tests.crash.recorder import Recorder, read_log
from tests.crash.replay import Disk, State, crash_states, read_tree, write_tree
from tests.support.folder_worlds import seen

_SEED: Final = 20260103
_TARGET: Final = "copy"


@pytest.fixture(scope="module", params=[6, 80], ids=["few", "many"])
def versions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Versions]:
    with serving_folders(tmp_path_factory.mktemp("versions"), request.param) as found:
        yield found


@pytest.mark.parametrize("there", [False, True], ids=["fresh", "replace"])
def test_every_crash_of_a_folder_pull_leaves_whole_files(
    recorder: Recorder,
    quick_path: Path,
    versions: Versions,
    there: bool,
    summary: Callable[[str], None],
) -> None:
    root, log = quick_path / "disk", quick_path / "log"
    root.mkdir()
    given = ("-o", root / _TARGET, "--store", root / "store", "--server", versions.url)
    if there:
        done = run("pull", "www@1", *given)
        assert done.returncode == 0, done.stderr.decode()
    before = Disk(root)
    command = casync("pull", "www@2", *given, "--delete", "--json")
    done = recorder.run(command, root, log, env=environment())
    assert done.returncode == 0, done.stderr.decode()
    ops = read_log(log)
    violations: list[str] = []
    tried = 0
    for state in crash_states(before, ops, _SEED, rounds=1):
        tried += 1
        violations += _violations(state, versions, quick_path / "state")
    assert before.now() == read_tree(root), "the recorder missed something"
    summary(
        f"power loss in pull of a folder, {there=}: {tried} states of {len(ops)} calls, "
        f"seed {_SEED}, {len(violations)} violations"
    )
    assert not violations, "\n".join(violations[:20])
    assert tried >= 100


def _violations(state: State, versions: Versions, folder: Path) -> list[str]:
    folder.mkdir()
    write_tree(state.tree, folder)
    target = folder / _TARGET
    if (target / STAGING).exists():
        (target / STAGING).chmod(0o700)  # as it was made; the replay knows no modes
    wrong: list[str] = []
    try:
        wrong += versions.torn(target)
        if state.answered and not (target.is_dir() and versions.is_new(target)):
            wrong.append("the folder was announced and is another one")
        with LmdbStore.open(folder / "store", create=True) as store:
            options = FolderOptions(delete=True)
            pull("www@2", target, store=store, servers=[versions.url], folder_options=options)
        if seen(target) != versions.seen[1]:
            wrong.append("pulling again gives another folder")
    except CasyncError as error:
        wrong.append(f"{type(error).__name__}: {error.message}")
    finally:
        shutil.rmtree(folder)
    return [f"{state.label}: {line}" for line in wrong]
