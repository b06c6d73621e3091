"""Gc killed at every call that writes, and gc on a disk without a free byte."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.commands import casync, environment, execute, run
from tests.crash.material import image, noise, updated
from tests.crash.origin import prepared
from tests.crash.promises import Acknowledged, store_violations
from tests.crash.recorder import Fault, Recorder
from tests.crash.tiny_disk import KINDS, TinyDisk

_MOST = 2000
_STORE_FILES = {"data.mdb", "lock.mdb", "store.lock"}


def test_gc_killed_at_every_call(
    recorder: Recorder, quick_path: Path, summary: Callable[[str], None]
) -> None:
    """Listed content stays complete after a kill at any call, and the next run does the rest."""
    old = image(40, 3 << 20)
    new = updated(old, 41)
    template, root = quick_path / "template", quick_path / "root"
    known = prepared(template, old, new, folder=quick_path)
    gone, kept = known
    # Most of each segment dies and something survives, so compaction moves records.
    loose = quick_path / "loose"
    loose.write_bytes(b"".join(noise(50 + n, 100_000) for n in range(40)))
    other = execute(casync("prepare", "--store", template, loose)).stdout.decode().strip()
    assert run("rm", "--store", template, gone, other).returncode == 0
    store = root / "store"
    command = casync("gc", "--store", store, "--window", "0", "--json")
    wrong: list[str] = []
    for at in itertools.islice(itertools.count(1), _MOST):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        shutil.copytree(template, store)
        log = quick_path / "log"
        log.unlink(missing_ok=True)
        done = recorder.run(command, root, log, fault=Fault("before", at), env=environment())
        acknowledged = Acknowledged([kept], {})
        seen = store_violations(store, known, acknowledged)
        # Removed content stays known until it is collected: it may be undeleted.
        wrong += [f"call {at}: {line}" for line in seen if "remembered file" not in line]
        if done.returncode != -signal.SIGKILL:
            break
        again = execute(command)
        if again.returncode or json.loads(again.stdout)["kept"]:
            wrong.append(f"call {at}: the rerun failed: {again.stderr.decode()}")
        wrong += [f"rerun {at}: {line}" for line in store_violations(store, known, acknowledged)]
        if execute(casync("gc", "--store", store, "--window", "0", "--dry-run")).stdout:
            wrong.append(f"call {at}: the rerun left something")
        wrong += [f"left over: {p.name}" for p in store.iterdir() if p.name not in _STORE_FILES]
    assert done.returncode == 0, done.stderr.decode()
    fields = json.loads(done.stdout)
    assert fields["objects"] > 100
    assert fields["moved"] > 0
    summary(f"kill -9 in gc: {at - 1} calls, {len(wrong)} violations")
    assert at > 8
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("kind", KINDS)
def test_gc_on_a_completely_full_disk(
    tmp_path: Path, kind: str, summary: Callable[[str], None]
) -> None:
    """rm and gc work on a full disk, and free enough space for the next version."""
    versions = [image(60, 4 << 20) + noise(61 + n, 3 << 20) for n in range(4)]
    for number, data in enumerate(versions):
        (tmp_path / f"v{number}").write_bytes(data)
    with TinyDisk(tmp_path, 40 << 20, kind) as disk:
        store = disk.path / "store"

        def inside(*arguments: str | Path) -> tuple[int, str]:
            done = run(*arguments, "--store", store, before=disk.inside)
            return done.returncode, done.stdout.decode() + done.stderr.decode()

        for number in range(3):
            name = f"v{number}"
            assert inside("prepare", tmp_path / name, "--name", name)[0] == 0
        disk.fill(0)
        assert inside("prepare", tmp_path / "v3", "--name", "v3")[0] == 6
        status, said = inside("rm", "v0", "v1")
        assert status == 0, said
        status, said = inside("gc", "--window", "0", "--json")
        assert status == 0, said
        freed = json.loads(said.splitlines()[0])["stored"]
        assert freed > 5 << 20
        assert inside("verify")[0] == 0
        status, said = inside("prepare", tmp_path / "v3", "--name", "v3")
        assert status == 0, said
        assert inside("verify")[0] == 0
        read = run("cat", "v3", "--store", store, before=disk.inside)
        assert read.stdout == versions[3]
        assert int(disk.sh("df -B1 --output=avail . | tail -1")) < 64 << 10
    summary(f"gc on a full disk, {kind}: {freed >> 10} KiB freed and used again")
