"""Trees that leave as archives and come back, through our program and those of others."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings

from casync.store.lmdb.store import LmdbStore
from tests.support.archive_programs import archive_program
from tests.support.program import COMMAND, TIMEOUT, Program
from tests.support.rights import ROOT, needs_root
from tests.support.serving import ask

AS_USER = ["unshare", "--user", "--map-user=1000"]
"""No capabilities, and files of one other user."""

_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [
        (1, 6, 2**32 - 1),  # the owner
        (2, 4, 70_000),  # a user
        (4, 4, 2**32 - 1),  # the group
        (16, 4, 2**32 - 1),  # the mask
        (32, 0, 2**32 - 1),  # all others
    ]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All that any user may make; as root also devices, owners and an ACL."""
    root = tmp_path / "folder"
    (root / ("d" * 120) / ("e" * 120)).mkdir(parents=True)
    (root / ("d" * 120) / ("e" * 120) / "deep").write_bytes(b"deep")
    (root / "a").write_bytes(bytes(range(256)) * 3_000)
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"no UTF-8")
    (root / "again").hardlink_to(root / "a")
    (root / "soft").symlink_to("t" * 150)
    os.link(root / "soft", root / "soft again", follow_symlinks=False)
    os.mkfifo(root / "pipe", 0o640)
    os.setxattr(root / "a", "user.color", b"blue\0=\n")
    os.setxattr(root / "a", "user.a=b%3D", b"")
    if ROOT:
        os.mknod(root / "disk", 0o60600, os.makedev(259, 1_000_000))
        os.mknod(root / "terminal", 0o20620, os.makedev(136, 3))
        os.chown(root / "a", 3_000_000, 4_000_000)
        os.chown(root / "soft", 12, 34, follow_symlinks=False)
        (root / "a").chmod(0o4755)
        (root / "acl").touch()
        os.setxattr(root / "acl", "system.posix_acl_access", _ACL)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        when = number * 1_000_000_007 * (-1) ** number + 123_456_789
        os.utime(path, ns=(0, when), follow_symlinks=False)
    root.chmod(0o750)
    os.utime(root, ns=(0, 1_600_000_000_987_654_321))
    return root


def after_1970(folder: Path) -> None:
    """Gives everything a time that every format can hold, but for its part of a second."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, ns=(0, 1_700_000_000_123_456_789), follow_symlinks=False)


def within(program: Program, before: list[str], *arguments: object, stdin: bytes = b"") -> bytes:
    """What a run of the program prints; it must succeed."""
    done = subprocess.run(
        [*before, *COMMAND, *map(str, arguments)],
        cwd=program.home,
        env=program.environment,
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("before", [[], AS_USER], ids=["as I am", "as ordinary user"])
@pytest.mark.parametrize("ending", ["tar", "tgz"])
def test_a_folder_comes_back_with_its_hash(
    program: Program, folder: Path, before: list[str], ending: str
) -> None:
    """A7"""
    expected = within(program, before, "prepare", folder, "--name", "folder")
    within(program, before, "archive", "create", f"a.{ending}", "folder")
    archive = within(program, before, "cat", f"a.{ending}")
    assert within(program, before, "prepare", "--unpack", "-", stdin=archive) == expected


def test_an_archive_of_a_tree_has_the_bytes_that_its_address_has(
    program: Program, folder: Path
) -> None:
    """A7"""
    program.good("prepare", folder, "--name", "folder")
    for made in ("tar", "tgz", "zip", "msgpack"):
        program.good("archive", "create", f"a.{made}", "folder")
        created = program.good("cat", f"a.{made}").out
        with LmdbStore.open(program.store) as store:
            app = create_app(store, ServerSettings(), sink=lambda _: None)
            answer = ask(app, "GET", "/v1/archives/folder", params={"format": made})
        assert answer.content == created


@pytest.mark.parametrize("command", ["tar", "bsdtar"])
def test_other_programs_extract_a_tree_with_all_that_it_holds(
    program: Program, folder: Path, tmp_path: Path, command: str
) -> None:
    """A7"""
    if command == "bsdtar":
        # It sets no ACL that is an attribute, no name with an equals sign, no fraction of a second
        # before 1970, and no time of the folder itself.
        (folder / "acl").unlink(missing_ok=True)
        os.removexattr(folder / "a", "user.a=b%3D")
        after_1970(folder)
        how = [archive_program("bsdtar"), "-p", "--xattrs", "--numeric-owner"]
    else:
        how = ["tar", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    expected = program.good("prepare", folder, "--name", "folder").out
    program.good("archive", "create", "a.tar", "folder")
    (tmp_path / "a.tar").write_bytes(program.good("cat", "a.tar").out)
    (tmp_path / "out").mkdir()
    subprocess.run([*how, "-xf", tmp_path / "a.tar", "-C", tmp_path / "out"], check=True)
    if command == "bsdtar":
        os.utime(tmp_path / "out", ns=(0, folder.stat().st_mtime_ns))
    assert program.good("prepare", tmp_path / "out").out == expected


def test_portable_archives_and_those_of_several_refs_have_no_owners(
    program: Program, folder: Path
) -> None:
    """A3"""
    (folder / "soft again").unlink()  # a hard link to a symbolic one is one of its own there
    after_1970(folder)
    program.good("prepare", folder, "--name", "folder")
    for name, *given in (("a.tar", folder), ("b.tar", "folder", "--portable")):
        program.good("archive", "create", name, *given)
    portable = program.good("cat", "b.tar").out
    assert program.good("cat", "a.tar").out == portable
    program.good("archive", "create", "c.tar", "folder", "a.tar")
    several = program.good("cat", "c.tar").out
    for data in (portable, several):
        assert b"SCHILY" not in data
        assert b"mtime=" not in data
        assert b"id=" not in data
    assert portable[:-1024] in several


@needs_root
def test_a_zip_of_a_tree_has_the_numbers_of_its_owners(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    """A7"""
    after_1970(folder)
    program.good("prepare", folder, "--name", "folder")
    program.good("archive", "create", "a.zip", "folder")
    (tmp_path / "a.zip").write_bytes(program.good("cat", "a.zip").out)
    unzip = [archive_program("unzip"), "-q", "-X", "a.zip", "a", "again", "-d", "out"]
    subprocess.run(unzip, cwd=tmp_path, check=True)
    for name in ("a", "again"):
        status = (tmp_path / "out" / name).stat()
        assert (status.st_uid, status.st_gid) == (3_000_000, 4_000_000)
        assert int(status.st_mtime) == (folder / name).stat().st_mtime_ns // 10**9
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
