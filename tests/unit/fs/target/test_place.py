"""Places of targets, and everything that is refused before a byte is fetched."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casync.errors import DeniedError, NoSpaceError, WriteError
from casync.fs.identity import identity_of
from casync.fs.os_errors import free_bytes
from casync.fs.target.place import TargetPlace, check_space, inspect_place
from tests.support.forked import in_namespace, run_python, without_rights
from tests.support.rights import needs_root

NOBODY = 65534


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def make_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def make_dangling_far(path: Path) -> None:
    path.symlink_to("no/such/folder")


def make_circle(path: Path) -> None:
    path.symlink_to(path.name)


def make_link_to_folder(path: Path) -> None:
    path.symlink_to("..")


def make_link_to_null(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    "make",
    [
        make_folder,
        make_fifo,
        make_socket,
        make_dangling,
        make_dangling_far,
        make_circle,
        make_link_to_folder,
        make_link_to_null,
    ],
)
@pytest.mark.parametrize("in_place", [False, True])
def test_an_unusable_target_is_refused(
    tmp_path: Path, make: Callable[[Path], None], in_place: bool
) -> None:
    target = tmp_path / "target"
    make(target)
    with pytest.raises(WriteError, match="target"):
        inspect_place(target, in_place=in_place)
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "file/target", "missing/target", "a\0b", "n" * 256]
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        inspect_place(Path(f"{tmp_path}/{name}"), in_place=False)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=f"no folder {tmp_path}/missing"):
        inspect_place(tmp_path / "missing" / "target", in_place=False)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_missing_file_will_be_new(tmp_path: Path, in_place: bool) -> None:
    assert inspect_place(tmp_path / "target", in_place=in_place) == TargetPlace(
        tmp_path.resolve() / "target", None, 0, is_device=False, in_place=False
    )


@pytest.mark.parametrize("in_place", [False, True])
def test_an_existing_file_is_identified(tmp_path: Path, in_place: bool) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    place = inspect_place(target, in_place=in_place)
    assert place.existing == identity_of(target.stat())
    assert (place.length, place.is_device, place.in_place) == (3, False, in_place)


def test_links_on_the_way_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_bytes(b"old")
    (tmp_path / "folder" / "inner").symlink_to("real")
    (tmp_path / "link").symlink_to("folder/inner")
    (tmp_path / "way").symlink_to("folder")
    monkeypatch.chdir(tmp_path)
    final = tmp_path.resolve() / "folder"
    assert inspect_place(Path("link"), in_place=False).path == final / "real"
    assert inspect_place(Path("way/new"), in_place=False).path == final / "new"
    assert inspect_place(Path("folder/../way/real"), in_place=False).path == final / "real"


INSPECT = "told(lambda: inspect_place(path, in_place=sys.argv[2] == 'in place').path)"


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_bytes(b"old")
    folder.chmod(0o500)
    for name in ("new", "old"):
        told = run_python(INSPECT, folder / name, "replace", prefix=without_rights())
        assert told.startswith("DeniedError")
        assert "permission denied" in told
    told = run_python(INSPECT, folder / "old", "in place", prefix=without_rights())
    assert told == f"{folder / 'old'}\n"
    folder.chmod(0o700)


def test_a_read_only_file_can_be_replaced_but_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(0o400)
    told = run_python(INSPECT, target, "in place", prefix=without_rights())
    assert told.startswith("DeniedError")
    assert run_python(INSPECT, target, "replace", prefix=without_rights()) == f"{target}\n"


@pytest.mark.parametrize("how", ["replace", "in place"])
def test_a_read_only_file_system_is_refused(tmp_path: Path, how: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    setup = 'd=$(dirname "$target"); mount --bind "$d" "$d"; mount -o remount,ro,bind "$d"'
    told = run_python(INSPECT, target, how, prefix=in_namespace(setup))
    assert told.startswith("WriteError")
    assert "read-only file system" in told


def test_a_mounted_file_cannot_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a name with blanks"
    target.write_bytes(b"old")
    prefix = in_namespace('mount --bind "$target" "$target"')
    assert "is a mount point" in run_python(INSPECT, target, "replace", prefix=prefix)
    assert run_python(INSPECT, target, "in place", prefix=prefix) == f"{target}\n"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may write to, as /tmp is."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o1777)
        yield Path(name)


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@needs_root
@pytest.mark.parametrize("in_place", [False, True])
def test_another_users_file_where_all_may_write_is_refused(shared: Path, in_place: bool) -> None:
    target = shared / "target"
    target.write_bytes(b"old")
    inspect_place(target, in_place=in_place)
    kind, said = (DeniedError, "permission denied") if in_place else (WriteError, "sticky")
    with nobody(), pytest.raises(kind, match=said):
        inspect_place(target, in_place=in_place)
    os.chown(target, NOBODY, NOBODY)
    os.chown(shared, NOBODY + 1, 0)
    with pytest.raises(DeniedError, match="another user"):  # root, too: it would be his
        inspect_place(target, in_place=in_place)


@needs_root
def test_a_further_name_of_a_file_where_all_may_write_is_not_overwritten(shared: Path) -> None:
    (shared / "own").write_bytes(b"precious")
    os.link(shared / "own", shared / "target")
    inspect_place(shared / "target", in_place=True)
    os.chown(shared, NOBODY, NOBODY)
    with pytest.raises(DeniedError, match="several hard links"):
        inspect_place(shared / "target", in_place=True)


@needs_root
@pytest.mark.parametrize("name", ["file", "folder/file", "chain/file", "folder/new"])
def test_a_link_that_another_user_has_put_where_all_may_write_is_not_followed(
    shared: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "chain").symlink_to(shared / "folder")
    (shared / "chain").symlink_to(tmp_path / "chain")
    with nobody():
        (shared / "file").symlink_to(tmp_path / "file")
        (shared / "folder").symlink_to(tmp_path)
    for in_place in (False, True):
        with pytest.raises(DeniedError, match="link of another user"):
            inspect_place(shared / name, in_place=in_place)
    for link in ("file", "folder"):  # our own links are followed
        os.chown(shared / link, 0, 0, follow_symlinks=False)
    place = inspect_place(shared / name, in_place=False)
    assert place.path.parent == tmp_path.resolve()


def test_an_immutable_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with target.open("rb") as file:
        try:
            fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))
        except OSError:  # only root may do that, and not on every file system
            inspect_place(target, in_place=False)
            return
        try:
            for in_place in (False, True):
                with pytest.raises(DeniedError if in_place else WriteError):
                    inspect_place(target, in_place=in_place)
        finally:
            fcntl.ioctl(file, 0x40086602, struct.pack("l", 0))


def test_too_little_space_is_refused_with_both_figures(tmp_path: Path) -> None:
    place = inspect_place(tmp_path / "target", in_place=False)
    have = free_bytes(tmp_path)
    assert have is not None
    check_space(place, 0)
    check_space(place, 1)
    with pytest.raises(NoSpaceError, match=r"no space on \S+: 1.00 EiB needed, .* free"):
        check_space(place, 2**60)
    check_space(place._replace(is_device=True), 2**60)


def test_a_full_file_system_is_refused(tmp_path: Path) -> None:
    code = "told(lambda: check_space(inspect_place(path, in_place=False), 2 << 20))"
    prefix = in_namespace('mount -t tmpfs -o size=1m none "$(dirname "$target")"')
    told = run_python(code, tmp_path / "target", prefix=prefix)
    assert told.startswith("NoSpaceError")
