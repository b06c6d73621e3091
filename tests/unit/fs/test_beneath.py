"""Nothing outside a folder is opened or removed through it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.fs import beneath
from casync.fs.beneath import FOLDER, open_beneath, open_child
from casync.fs.cursor import Cursor
from casync.fs.removal import below, remove


@pytest.fixture(params=["openat2", "by names"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """An open folder, with and without openat2."""
    if request.param == "by names":
        monkeypatch.setattr(beneath, "_OPENAT2", 100_000)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_text("file")
    (tmp_path / "root" / "out").symlink_to("../outside")
    (tmp_path / "root" / "a" / "in").symlink_to("b")
    (tmp_path / "root" / "a" / "to file").symlink_to("b/file")
    fd = os.open(tmp_path / "root", FOLDER)
    yield fd
    os.close(fd)


def text(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_existing_paths_are_opened(root: int) -> None:
    assert text(open_beneath(root, b"a/b/file", os.O_RDONLY)) == b"file"
    for path in (b"", b"a", b"a/b"):
        os.close(open_beneath(root, path, FOLDER))
    os.close(open_beneath(root, b"a/b", os.O_PATH | os.O_DIRECTORY))


@pytest.mark.parametrize(
    "path", [b"out", b"out/secret", b"a/in", b"a/in/file", b"a/to file", b"a/none", b"a/b/file/x"]
)
def test_links_are_not_followed(root: int, path: bytes) -> None:
    with pytest.raises(OSError, match="Errno") as caught:
        open_beneath(root, path, os.O_RDONLY)
    assert caught.value.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
    with pytest.raises(OSError, match="out"):
        open_child(root, b"out", os.O_RDONLY)


@pytest.fixture
def deep(root: int) -> Iterator[list[bytes]]:
    """Names of nested folders, too many for one path."""
    names = [b"%03d-" % number + b"x" * 100 for number in range(200)]
    fd = os.dup(root)
    for name in names:
        os.mkdir(name, dir_fd=fd)
        below_it = os.open(name, FOLDER, dir_fd=fd)
        os.close(fd)
        fd = below_it
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    yield names
    remove(root, names[0])


def test_paths_may_be_long(root: int, deep: list[bytes]) -> None:
    path = b"/".join(deep)
    assert len(path) > 20_000
    os.close(open_beneath(root, path + b"/file", os.O_RDONLY))
    found = dict(below(root, deep[0]))
    assert len(found) == len(deep) + 1
    assert path + b"/file" in found
    descriptors = len(os.listdir("/proc/self/fd"))
    with Cursor(root) as cursor:
        for name in deep:
            cursor.enter(name)
        assert len(os.listdir("/proc/self/fd")) < descriptors + 70
        assert cursor.names() == [b"file"]
        for name in reversed(deep):
            assert os.stat(cursor.fd).st_ino
            assert cursor.path.endswith(name)
            cursor.leave()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    remove(root, deep[0])
    assert deep[0] not in map(os.fsencode, os.listdir(root))


def test_removing_leaves_the_targets_of_links(root: int, tmp_path: Path) -> None:
    remove(root, b"out")
    remove(root, b"a")
    remove(root, b"a")  # it may be gone
    assert os.listdir(root) == []
    assert (tmp_path / "outside" / "secret").read_text() == "secret"


def test_a_cursor_moves_on_without_a_folder(root: int) -> None:
    with Cursor(root) as cursor:
        cursor.enter(b"out")  # a link, no folder
        assert not cursor.is_somewhere
        assert (cursor.look(b"secret"), cursor.names()) == (None, [])
        cursor.enter(b"more")
        assert cursor.path == b"out/more"
        cursor.leave()
        cursor.leave()
        assert cursor.fd == root
    with Cursor(None) as cursor:
        assert not cursor.is_somewhere
