"""Stores on full, read-only and unfit file systems.

Each case runs in its own user and mount namespace, so it needs no privileges and leaves nothing
behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Program

ROOT = Path(__file__).parents[2]
AS_ROOT = ["unshare", "--user", "--map-root-user", "--mount"]
AS_USER = ["unshare", "--user", "--map-user=1000"]  # no capabilities, so modes count


def run(case: str, folder: Path, namespace: list[str]) -> None:
    program = [sys.executable, "-m", "tests.integration.store_places"]
    command = [*namespace, *program, case, str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "held\n"), result.stderr


@pytest.mark.parametrize("case", ["read_only_file_system", "full_disk", "overlay", "fuse"])
def test_mounted(tmp_path: Path, case: str) -> None:
    run(case, tmp_path, AS_ROOT)


def test_unwritable_folder(tmp_path: Path) -> None:
    run("unwritable_folder", tmp_path, AS_USER)


def test_a_limit_on_file_size_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(4 << 20))
    program = Program(tmp_path)
    words = ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", *COMMAND, "prepare"]
    for arguments, stdin in ((["file"], b""), (["-"], os.urandom(4 << 20))):
        done = subprocess.run(
            [*words, *arguments],
            input=stdin,
            cwd=tmp_path,
            env=program.environment,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, b"ulimit -f" in done.stderr) == (6, True), done.stderr
