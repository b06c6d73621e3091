"""Pipes, sockets, devices, unreadable files, link cycles, mount points, /proc."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.program import COMMAND, ROOT, TIMEOUT, Program
from tests.support.rights import needs_root

AS_ROOT = ["unshare", "--user", "--map-root-user", "--mount"]
AS_USER = ["unshare", "--user", "--map-user=1000"]  # no capabilities, so modes count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


def within(program: Program, before: list[str], script: str, *arguments: str) -> tuple[int, str]:
    """Runs a shell script in which `casync` is the program; returns status and output."""
    environment = program.environment | {"PYTHONPATH": f"{ROOT}:{ROOT}/server:{ROOT}/cli"}
    shell = f'casync() {{ {" ".join(COMMAND)} "$@"; }}; {script}'
    done = subprocess.run(
        [*before, "sh", "-c", shell, "sh", *arguments],
        cwd=program.home,
        env=environment,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def listed(program: Program) -> dict[str, str]:
    """The first letter of what `ls -lR` says of each path of the tree `tree`."""
    lines = [line.split("\t") for line in program.good("ls", "-lR", "tree:").lines]
    return {line[4].partition(" -> ")[0]: line[0][0] for line in lines}


def test_pipes_sockets_and_links_in_circles(program: Program, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    os.link(folder / "file", folder / "further")
    (folder / "self").symlink_to("self")
    (folder / "there").symlink_to("back")
    (folder / "back").symlink_to("there")
    (folder / "up").symlink_to("..")
    (folder / "nowhere").symlink_to("/nowhere/at/all")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        document = program.good("prepare", "folder", "--name", "tree", "--json").document
    assert (document["files"], document["others"], document["sockets"]) == (2, 6, 1)
    assert document["left_out"] == []
    kinds = listed(program)
    assert "socket" not in kinds
    assert kinds["pipe"] == "p"
    assert [kinds[name] for name in ("self", "there", "back", "up", "nowhere")] == ["l"] * 5
    document = program.good("pull", "tree", "-o", "copy", "--json").document
    assert document["left_out"] == 1, "pipes are for --exact"
    copy = program.home / "copy"
    assert not (copy / "pipe").exists()
    assert os.readlink(copy / "there") == "back"
    assert (copy / "file").samefile(copy / "further")
    program.good("check", "tree", "copy")


def test_special_files_are_refused_at_once(program: Program, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "self").symlink_to("self")
    for name in ("folder/pipe", "/dev/null", "folder/self"):
        ran = program.run("prepare", name)  # a pipe that is opened would hang
        assert ran.status in (1, 2), ran
        assert ran.err.count("\n") == 1, ran
    for target in ("folder/pipe", "/dev/null"):
        assert program.run("pull", "0" * 64, "-o", target).status in (1, 2, 9)


@needs_root
def test_devices(program: Program, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    os.mknod(folder / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(folder / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 200))  # opening it would fail
    program.good("prepare", "folder", "--name", "tree")
    assert listed(program) == {"disk": "b", "file": "-", "null": "c", "pipe": "p"}
    plain = program.good("pull", "tree", "-o", "plain")
    assert not (program.home / "plain" / "null").exists()
    assert "3" in plain.err
    program.good("pull", "tree", "-o", "exact", "--exact")
    assert stat.S_ISFIFO((program.home / "exact" / "pipe").lstat().st_mode)
    assert (program.home / "exact" / "disk").lstat().st_rdev == os.makedev(7, 200)


def test_unreadable_files_are_reported_and_the_rest_is_stored(
    program: Program, folder: Path
) -> None:
    (folder / "locked").mkdir()
    (folder / "locked" / "inside").write_bytes(b"1")
    (folder / "secret").write_bytes(b"2")
    script = """
        chmod 0 folder/locked folder/secret
        casync prepare folder --name tree; status=$?
        chmod 755 folder/locked folder/secret
        exit $status
    """
    status, said = within(program, AS_USER, script)
    assert status == 3, said
    assert re.search(r"left out locked: .*ermission", said)
    assert re.search(r"left out secret: .*", said)
    assert "2 paths left out; 2 for want of permission. Run the command as a user who" in said
    assert set(listed(program)) == {"file"}


def test_mount_points(program: Program, folder: Path) -> None:
    (folder / "mount").mkdir()
    script = """
        mount -t tmpfs none folder/mount && echo 1 > folder/mount/inside || exit 99
        casync prepare folder --name tree && casync prepare folder --one-file-system --name one
    """
    status, said = within(program, AS_ROOT, script)
    assert status == 0, said
    assert set(listed(program)) == {"file", "mount", "mount/inside"}
    lines = program.good("ls", "-R", "one:").lines
    assert sorted(lines) == ["file", "mount"]


def test_files_that_lie_about_their_size(program: Program) -> None:
    ran = program.run("prepare", "/proc/self/status")
    assert ran.status == 2
    assert "more bytes than its size says" in ran.err
    ran = program.run("prepare", "/proc/self/attr", "--name", "tree", "--json")
    assert ran.status == 3
    assert ran.document["left_out"]
