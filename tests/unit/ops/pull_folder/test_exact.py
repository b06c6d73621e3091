"""Other metadata: by default what any user may set, with `exact` all of it."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest

from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.pulling import MemoryServer
from tests.support.rights import needs_root
from tests.support.tree_worlds import age, prepared

_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1234),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)
"""rw for the owner, r for user 1234 and the group, nothing for others."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "program").write_bytes(b"program")
    (root / "program").chmod(0o6755)
    (root / "sub").chmod(0o2755)
    os.mkfifo(root / "pipe", 0o620)
    os.chmod(root / "pipe", 0o620)
    age(root)
    return root


def test_without_exact(root: Path, server: MemoryServer, tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = pulled(prepared(root, server).manifest, target, server, MemoryStore())
    assert (target / "program").stat().st_mode & 0o7777 == 0o755
    assert (target / "sub").stat().st_mode & 0o7777 == 0o755
    assert not (target / "pipe").exists()
    assert (done.left_out, done.skipped) == (1, {})


def test_with_exact(root: Path, server: MemoryServer, tmp_path: Path) -> None:
    target = tmp_path / "target"
    ident = prepared(root, server).manifest
    done = pulled(ident, target, server, MemoryStore(), exact=True)
    assert (done.left_out, done.skipped) == (0, {})
    assert seen(target) == seen(root)
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    again = pulled(ident, target, server, MemoryStore(), exact=True)
    assert (again.files, again.others, again.kept) == (0, 0, 1)
    # A later pull without it takes the extra rights back.
    pulled(ident, target, server, MemoryStore())
    assert (target / "program").stat().st_mode & 0o7777 == 0o755


def test_attributes_of_acls(root: Path, server: MemoryServer, tmp_path: Path) -> None:
    os.setxattr(root / "program", "system.posix_acl_access", _ACL)
    os.utime(root / "program", ns=(5, 5))
    ident = prepared(root, server).manifest
    one, two = tmp_path / "one", tmp_path / "two"
    pulled(ident, one, server, MemoryStore())
    assert os.listxattr(one / "program") == []
    pulled(ident, two, server, MemoryStore(), exact=True)
    assert os.getxattr(two / "program", "system.posix_acl_access") == _ACL
    os.removexattr(root / "program", "system.posix_acl_access")
    pulled(prepared(root, server).manifest, two, server, MemoryStore(), exact=True)
    assert os.listxattr(two / "program") == []


def test_default_acls_of_the_target_are_not_inherited(
    root: Path, server: MemoryServer, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    os.setxattr(target, "system.posix_acl_default", _ACL)
    pulled(prepared(root, server).manifest, target, server, MemoryStore())
    assert os.listxattr(target / "program") == []
    assert (target / "program").stat().st_mode & 0o7777 == 0o755


@needs_root
def test_owners_and_devices(root: Path, server: MemoryServer, tmp_path: Path) -> None:
    os.chown(root / "program", 1234, 4321)
    (root / "program").chmod(0o4750)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "link").symlink_to("x")
    os.chown(root / "link", 77, 88, follow_symlinks=False)
    os.setxattr(root / "program", "trusted.x", b"y")
    age(root)
    ident = prepared(root, server).manifest
    target = tmp_path / "target"
    pulled(ident, target, server, MemoryStore())
    assert (target / "program").stat().st_uid == 0
    done = pulled(ident, target, server, MemoryStore(), exact=True)
    assert done.skipped == {}
    assert seen(target) == seen(root)
    status = (target / "program").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 4321, 0o4750)
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)
    link = (target / "link").lstat()
    assert (link.st_uid, link.st_gid) == (77, 88)
    assert prepared(target, MemoryStore()).manifest == ident


@pytest.mark.parametrize("exact", [False, True])
def test_a_read_only_folder_is_updated(
    root: Path, server: MemoryServer, tmp_path: Path, exact: bool
) -> None:
    (root / "sub" / "file").write_bytes(b"1")
    (root / "sub").chmod(0o555)
    age(root)
    target = tmp_path / "target"
    pulled(prepared(root, server).manifest, target, server, MemoryStore(), exact=exact)
    assert (target / "sub").stat().st_mode & 0o777 == 0o555
    (root / "sub").chmod(0o755)
    (root / "sub" / "file").write_bytes(b"2")
    (root / "sub").chmod(0o555)
    age(root)
    pulled(prepared(root, server).manifest, target, server, MemoryStore(), exact=exact)
    assert (target / "sub" / "file").read_bytes() == b"2"
    assert (target / "sub").stat().st_mode & 0o777 == 0o555
