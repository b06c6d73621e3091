"""Pulls to file systems without Unix modes, and work without /proc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import NTFS, UnavailableError, unpacked
from tests.support.program import COMMAND, Program
from tests.support.rights import needs_root


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "large").write_bytes(os.urandom(300_000))
    (tmp_path / "tree" / "file").write_bytes(b"file")
    (tmp_path / "tree" / "file").chmod(0o640)
    (tmp_path / "tree" / "link").symlink_to("file")
    (tmp_path / "tree" / "ro").mkdir(mode=0o555)
    return program


@pytest.fixture
def tools() -> Path:
    try:
        return unpacked("ntfs", NTFS)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["", "permissions", "uid=12345,gid=12345,umask=000"])
def disk(tools: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A mounted file system of NTFS."""
    place, image = tmp_path / "disk", tmp_path / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(50_000_000)
    (libraries,) = tools.glob("lib/*-linux-gnu")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}

    def run(*words: str | Path) -> None:
        subprocess.run(words, check=True, capture_output=True, env=environment)

    run(tools / "sbin" / "mkfs.ntfs", "-F", "-q", "-f", image)
    run(tools / "bin" / "ntfs-3g", image, place, "-o", request.param)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@needs_root
def test_a_folder_is_pulled_to_a_file_system_without_modes(program: Program, disk: Path) -> None:
    program.good("prepare", "tree", "--name", "tree")
    for _ in range(2):
        program.good("pull", "tree", "-o", "disk/out")
        for name in ("file", "sub/large"):
            assert (disk / "out" / name).read_bytes() == (program.home / "tree" / name).read_bytes()
        assert sorted(os.listdir(disk / "out")) == ["file", "link", "ro", "sub"]
    program.good("pull", "tree:file", "-o", "disk/file")
    assert (disk / "file").read_bytes() == b"file"
    (program.home / "tree" / "file").write_bytes(b"more")
    program.good("prepare", "tree", "--name", "tree")
    program.good("pull", "tree", "-o", "disk/out", "--delete")
    assert (disk / "out" / "file").read_bytes() == b"more"


def test_everything_works_without_proc(program: Program) -> None:
    os.link(program.home / "tree" / "file", program.home / "tree" / "other")
    script = f"""
        mount -t tmpfs none /proc
        run() {{ {" ".join(COMMAND)} --store store -q "$@"; }}
        run prepare tree/sub/large --name file
        run prepare - --name stream <tree/file
        run prepare tree --name tree
        for i in 1 2; do run pull tree -o out; done
        run check tree out
        run pull file -o one
        run pull file -o two --seed one
        cmp one tree/sub/large
        test "$(stat -c %a out/file)" = 640
    """
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-exc", script],
        cwd=program.home,
        env=program.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_folder_that_takes_no_files_is_not_taken_for_another_pull(program: Program) -> None:
    """As root, who may write everywhere, /proc says that there is no such file."""
    program.good("prepare", "tree/file", "--name", "file")
    refused = program.run("pull", "file", "-o", "/proc/casync-test")
    assert refused.status in (1, 8)
    assert "another process" not in refused.err
    assert "/proc" in refused.err
