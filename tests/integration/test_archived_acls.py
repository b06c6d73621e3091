"""Access control lists of a folder, through archives of GNU tar and bsdtar, and ours."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.archive_programs import archive_program
from tests.support.program import Program

NO = 0xFFFFFFFF
ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose files have lists with a user of this machine, and with numbers."""
    folder = tmp_path / "folder"
    (folder / "new").mkdir(parents=True)
    (folder / "file").write_bytes(b"bytes")
    (folder / "plain").write_bytes(b"plain")
    access = (
        (1, 6, NO),
        (2, 7, 1),
        (2, 5, 77777),
        (4, 4, NO),
        (8, 6, 88888),
        (16, 5, NO),
        (32, 0, NO),
    )
    default = (1, 7, NO), (2, 7, 1), (4, 5, NO), (16, 7, NO), (32, 5, NO)
    try:
        os.setxattr(folder / "file", ACCESS, acl(*access))
        os.setxattr(folder / "new", DEFAULT, acl(*default))
    except OSError:
        pytest.skip("this file system has no access control lists")
    (folder / "new" / "inherited").write_bytes(b"inherited")
    return folder


@pytest.mark.parametrize("command", ["tar", "bsdtar"])
def test_lists_that_tar_has_as_text_come_back(
    program: Program, folder: Path, tmp_path: Path, command: str
) -> None:
    """A7"""
    archive = tmp_path / "archive.tar"
    tar = archive_program(command)
    subprocess.run([tar, "--acls", "--format=posix", "-cf", archive, "-C", folder, "."], check=True)
    assert b"SCHILY.acl.access" in archive.read_bytes()
    whole = program.good("prepare", folder, "--name", "folder").text.strip()
    unpacked = program.good("prepare", "--unpack", archive, "--name", "unpacked").text.strip()
    assert unpacked == whole
    made = program.good("archive", "create", "again.tar", "unpacked").text.strip()
    again = program.good("cat", made).out
    assert program.good("prepare", "--unpack", "-", stdin=again).text.strip() == whole
    out = tmp_path / "out"
    program.good("pull", "unpacked", "-o", out, "--exact")
    for path, name in (("file", ACCESS), ("new", DEFAULT), ("new/inherited", ACCESS)):
        assert os.getxattr(out / path, name) == os.getxattr(folder / path, name)
