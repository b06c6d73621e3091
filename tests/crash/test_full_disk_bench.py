"""Benches on disks that are too small. Nothing is left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crash.commands import run
from tests.crash.material import noise
from tests.crash.tiny_disk import TinyDisk

_MIB = 1 << 20
_NO_SPACE = 6


def test_a_bench_on_any_amount_of_free_space(
    tmp_path: Path, summary: Callable[[str], None]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(noise(31, 4 * _MIB))
    new.write_bytes(noise(32, 12 * _MIB))  # all of it new, which cannot be known in advance
    exits: Counter[int] = Counter()
    with TinyDisk(tmp_path, 48 * _MIB) as disk:
        before = [*disk.inside, "env", f"TMPDIR={disk.path}"]
        for space in range(16, 49, 4):
            disk.fill(space * _MIB)
            done = run("bench", old, new, "--chunk-sizes", "16K", before=before)
            exits[done.returncode] += 1
            if done.returncode:
                assert done.returncode == _NO_SPACE, done.stderr.decode()
                assert done.stderr.endswith(b"Set TMPDIR to a folder with more free space.\n")
            assert disk.sh("ls -A") in (b"", b"ballast\n"), f"{space} MiB left"
            disk.empty()
    assert exits[_NO_SPACE] >= 3
    assert exits[0] >= 1
    summary(f"full disk, bench: {exits.total()} sizes, exits {dict(exits)}, nothing left behind")
