"""Temporary folders of killed processes are removed by the next one, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from casync.fs.scratch import scratch_folder

_HOLD = """
import sys
from pathlib import Path
from casync.fs.scratch import scratch_folder
with scratch_folder("test", Path(sys.argv[1])) as folder:
    (folder / "file").write_bytes(b"data")
    print(folder, flush=True)
    sys.stdin.read()
"""


def names(place: Path) -> set[str]:
    return {entry.name for entry in place.iterdir()}


def test_it_is_private_and_goes_at_the_end(tmp_path: Path) -> None:
    with scratch_folder("test", tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "sub").mkdir()
        assert names(tmp_path) == {folder.name}
    assert names(tmp_path) == set()


def test_those_of_killed_processes_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        said = []
        for holder in holders:
            assert holder.stdout is not None
            said.append(Path(holder.stdout.readline().decode().strip()))
        killed, living = said
        holders[0].kill()
        holders[0].wait()
        assert names(tmp_path) == {killed.name, living.name}
        with scratch_folder("other", tmp_path) as other:
            assert names(tmp_path) == {killed.name, living.name, other.name}
        with scratch_folder("test", tmp_path) as ours:
            assert names(tmp_path) == {living.name, ours.name}
            assert (living / "file").read_bytes() == b"data"
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_only_private_folders_are_taken_for_abandoned_ones(tmp_path: Path) -> None:
    with scratch_folder("test", tmp_path) as folder:
        prefix = folder.name.rpartition("-")[0]
    others = [tmp_path / f"{prefix}-{number}" for number in range(3)]
    others[0].mkdir(mode=0o755)
    others[1].write_bytes(b"a file")
    others[2].symlink_to(others[0])
    with scratch_folder("test", tmp_path):
        assert len(names(tmp_path)) == 4


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder("test", tmp_path / "missing"):
        pass
