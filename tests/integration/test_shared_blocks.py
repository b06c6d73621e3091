"""On file systems with reflinks a new file shares what has not changed with its seed."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import MKFS, UnavailableError, unpacked
from tests.support.program import Program
from tests.support.rights import needs_root
from tests.support.serving import serving

MIB = 1 << 20
SIZE = 32 * MIB

pytestmark = needs_root


@pytest.fixture(params=sorted(MKFS))
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A mounted file system that can share blocks."""
    kind: str = request.param
    try:
        tools = unpacked(kind, MKFS[kind])
    except UnavailableError as error:
        pytest.skip(str(error))
    place, image = tmp_path / "disk", tmp_path / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    (program,) = (path for path in tools.rglob(f"mkfs.{kind}") if path.is_file())
    libraries = os.pathsep.join(str(path) for path in tools.glob("**/*-linux-gnu"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    subprocess.run([program, "-q", image], check=True, capture_output=True, env=environment)
    if kind not in Path("/proc/filesystems").read_text():
        pytest.skip(f"this kernel has no {kind}")
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def used(disk: Path) -> int:
    """Bytes in use, after all is written."""
    subprocess.run(["sync", "-f", disk], check=True)
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def updated(old: bytes) -> bytes:
    """The next version: 1 % of it changed, in ten places."""
    new = bytearray(old)
    for number in range(10):
        at = number * SIZE // 10 + 12_345
        new[at : at + SIZE // 1000] = random.Random(number).randbytes(SIZE // 1000)
    return bytes(new)


@pytest.mark.parametrize("way", ["over the old file", "unknown seed"])
def test_a_new_file_writes_what_has_changed(program: Program, disk: Path, way: str) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = updated(old)
    (disk / "old").write_bytes(old)
    (program.home / "new").write_bytes(new)
    program.good("prepare", "new", "--name", "new", "--store", "origin")
    target = disk / "target"
    if way == "over the old file":
        program.good("prepare", disk / "old")
        target = disk / "old"
    os.link(disk / "old", disk / "kept")  # or blocks of a file that is replaced are freed
    before = used(disk)
    with serving(program.home / "origin") as server:
        program.good("pull", "new", "-o", target, "--seed", disk / "old", "--server", server.url)
    assert target.read_bytes() == new
    assert (disk / "kept").read_bytes() == old
    assert used(disk) - before < SIZE // 25


def test_a_full_disk_has_room_for_what_is_shared(program: Program, disk: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = updated(old)
    (disk / "old").write_bytes(old)
    (program.home / "new").write_bytes(new)
    program.good("prepare", "new", "--name", "new", "--store", "origin")
    program.good("prepare", disk / "old")
    subprocess.run(["sync", "-f", disk], check=True)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - SIZE // 2)
    with serving(program.home / "origin") as server:
        here = ("new", "--server", server.url)
        program.good("pull", *here, "-o", disk / "target", "--dry-run")
        program.good("pull", *here, "-o", disk / "target")
        assert (disk / "target").read_bytes() == new
        (disk / "old").unlink()
        (disk / "target").unlink()
        subprocess.run(["sync", "-f", disk], check=True)
        with (disk / "more").open("wb") as file:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            os.posix_fallocate(file.fileno(), 0, free - SIZE // 2)
        found = program.run("pull", *here, "-o", disk / "target")
    assert found.status != 0
    assert "no space" in found.err
