"""Folders come out of a tree as they went in, and only what differs is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from casync.errors import LockedError, NoObjectError, UsageError, WriteError
from casync.fs.lock import lock
from casync.fs.scan_cache import ScanCache
from casync.fs.sync import sync_file_system
from casync.fs.target import publish
from casync.fs.target.staging import STAGING, staged_name
from casync.ids import ManifestId
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder import survey
from casync.store.base import Absence
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.preparing import Counter, wait_for_a_tick
from tests.support.pulling import MemoryServer, noise, put, run
from tests.support.tree_worlds import LONG_AGO, age, prepared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "hello").write_text("hello\n")
    (root / "nothing").touch(0o600)
    (root / "sub" / "large").write_bytes(noise(1, 3 << 20))
    (root / "sub" / "deep" / "few").write_bytes(noise(2, 9000))
    (root / "to").symlink_to("../nowhere")
    (root / "sub.txt").write_text("sorts behind sub/ and before it")
    (root / os.fsdecode(b"\xff\n")).write_bytes(noise(3, 100))
    os.link(root / "hello", root / "sub" / "hello again")
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(600_000)
        file.write(b"data")
    os.setxattr(root / "hello", "user.colour", b"green")
    (root / "sub" / "deep").chmod(0o711)
    age(root)
    return root


@pytest.fixture
def tree(root: Path, server: MemoryServer) -> ManifestId:
    return prepared(root, server).manifest


def test_a_folder_comes_out_as_it_went_in(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    done = pulled(tree, target, server, store)
    assert seen(target) == seen(root)
    assert (done.files, done.kept, done.others) == (7, 0, 2)
    assert done.length == sum(done.sources.values())
    assert (target / "sparse").stat().st_blocks * 512 < 700_000
    assert not (target / os.fsdecode(STAGING)).exists()


def test_a_folder_that_is_up_to_date_is_not_touched(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    pulled(tree, target, server, store)
    inodes = {path: path.lstat().st_ino for path in target.rglob("*")}
    asked = len(server.asked)
    done = pulled(tree, target, server, store)
    assert (done.files, done.kept, done.others) == (0, 7, 0)
    assert {path: path.lstat().st_ino for path in target.rglob("*")} == inodes
    assert len(server.asked) == asked
    assert seen(target) == seen(root)


def test_only_what_differs_is_fetched_and_written(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    pulled(tree, target, server, store)
    keeps = (target / "sub" / "deep" / "few").stat().st_ino
    with (root / "sub" / "large").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    (root / "sub.txt").chmod(0o640)
    os.utime(root / "nothing", ns=(5, 5))
    os.removexattr(root / "hello", "user.colour")
    (root / "to").unlink()
    (root / "to").symlink_to("hello")
    again = prepared(root, server).manifest
    done = pulled(again, target, server, store)
    assert seen(target) == seen(root)
    # `hello` has another hard link, which may be anywhere: it is made anew from its old bytes.
    assert (done.files, done.kept) == (2, 5)
    assert done.sources["seed"] > (3 << 20) - 3 * 4096
    assert done.sources["server"] < 3 * 4096
    assert (target / "sub" / "deep" / "few").stat().st_ino == keeps


def test_remembered_files_are_not_opened(
    root: Path,
    tree: ManifestId,
    server: MemoryServer,
    store: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, scan_cache = tmp_path / "target", ScanCache(tmp_path / "seen")
    opened: list[bytes] = []

    def open_child(folder: int, name: bytes, flags: int) -> int:
        opened.append(name)
        return os.open(name, flags, dir_fd=folder)

    pulled(tree, target, server, store, scan_cache=scan_cache)
    monkeypatch.setattr(survey, "open_child", open_child)
    pulled(tree, target, server, store, scan_cache=scan_cache)
    assert b"large" not in opened
    os.utime(target / "sub" / "large", ns=(LONG_AGO, LONG_AGO))  # a change of ctime alone
    pulled(tree, target, server, store, scan_cache=scan_cache)
    assert b"large" in opened


def test_a_changed_file_of_equal_length_and_time_is_seen(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target, scan_cache = tmp_path / "target", ScanCache(tmp_path / "seen")
    pulled(tree, target, server, store, scan_cache=scan_cache)
    wait_for_a_tick(target / "sub.txt")
    (target / "sub.txt").write_text("SORTS behind sub/ and before it")
    os.utime(target / "sub.txt", ns=(LONG_AGO, LONG_AGO))
    assert pulled(tree, target, server, store, scan_cache=scan_cache).files == 1
    assert seen(target) == seen(root)


def test_renamed_and_copied_files_are_not_fetched(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    pulled(tree, target, server, store)
    (root / "sub").rename(root / "other")
    shutil.copy2(root / "other" / "deep" / "few", root / "copy")
    again = prepared(root, server).manifest
    done = pulled(again, target, server, store)
    assert "server" not in done.sources
    assert (target / "sub").exists()
    done = pulled(again, target, server, store, delete=True)
    assert done.removed == 5
    assert seen(target) == seen(root)


def test_entries_of_another_type_are_replaced(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "sub").write_text("a file where a folder belongs")
    (target / "hello").symlink_to(tmp_path / "outside")
    (target / "to").write_text("a file where a link belongs")
    (target / "nothing").mkdir()
    pulled(tree, target, server, store)
    assert seen(target) == seen(root)
    assert not (tmp_path / "outside").exists()


def test_a_folder_that_is_not_empty_is_replaced_only_with_delete(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    (target / "hello" / "inside").mkdir(parents=True)
    with pytest.raises(WriteError, match="hello is a folder that is not empty"):
        pulled(tree, target, server, store)
    assert [path.name for path in target.iterdir()] == ["hello"]
    pulled(tree, target, server, store, delete=True)
    assert seen(target) == seen(root)


def test_deletion_is_bounded(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    (target / "mine" / "more").mkdir(parents=True)
    (target / "mine" / "file").touch()
    with pytest.raises(UsageError, match="nothing in common"):
        pulled(tree, target, server, store, delete=True)
    pulled(tree, target, server, store)
    assert (target / "mine" / "file").exists()
    with pytest.raises(UsageError, match="would remove 3 entries"):
        pulled(tree, target, server, store, delete=True, max_delete=2)
    assert (target / "mine" / "file").exists()
    assert pulled(tree, target, server, store, delete=True, max_delete=3).removed == 3
    assert seen(target) == seen(root)


def test_a_folder_inside_a_tree(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    pulled(tree, target, server, store, path="/sub/")
    expected = seen(root / "sub")
    assert seen(target) == expected
    assert (target / "hello again").stat().st_nlink == 1
    assert len(server.asked) < len(set(server.asked)) + 8


def test_an_interrupted_pull_resumes(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    pulled(tree, tmp_path / "other", server, MemoryStore())
    lost = server.asked[-1]
    server.asked.clear()
    server.absent[lost] = Absence.MISSING
    with pytest.raises(NoObjectError):
        pulled(tree, target, server, store)
    assert (target / os.fsdecode(STAGING)).is_dir()
    del server.absent[lost]
    done = pulled(tree, target, server, store)
    assert done.sources["staged"] > 1 << 20
    assert seen(target) == seen(root)
    assert not (target / os.fsdecode(STAGING)).exists()


def test_leftovers_of_another_tree_do_no_harm(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    staging = target / os.fsdecode(STAGING)
    staging.mkdir(parents=True, mode=0o700)
    for path in (b"hello", b"sub/large", b"sparse"):
        left = staging / os.fsdecode(staged_name(path))
        left.write_bytes(noise(9, 2_000_000))
        left.chmod(0o400)
    (staging / "unknown").mkdir()
    pulled(tree, target, server, store)
    assert seen(target) == seen(root)


def test_old_bytes_at_the_target_are_not_taken_for_staged_ones(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    """A resumed pull reads its staged bytes, never those at the target path."""
    target = tmp_path / "target"
    pulled(tree, target, server, store)
    with (target / "sub" / "large").open("ab") as file:
        file.write(b"longer")
    staging = target / os.fsdecode(STAGING)
    staging.mkdir(mode=0o700)
    (staging / "left").touch()
    done = pulled(tree, target, server, store)
    assert seen(target) == seen(root)
    assert done.sources.get("staged", 0) == 0


def test_two_pulls_at_once(tree: ManifestId, server: MemoryServer, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    fd = os.open(target, os.O_RDONLY)
    lock(fd, target)
    try:
        with pytest.raises(LockedError, match="another pull"):
            pulled(tree, target, server, MemoryStore())
    finally:
        os.close(fd)
    assert list(target.iterdir()) == []


def test_named_seeds(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    options = PullOptions(seeds=(root,))
    done = pulled(tree, tmp_path / "target", server, store, options=options)
    assert "server" not in done.sources
    assert seen(tmp_path / "target") == seen(root)
    with pytest.raises(UsageError, match="no such seed"):
        pulled(tree, tmp_path / "t", server, store, options=PullOptions(seeds=(root / "none",)))


def test_a_named_file_that_the_store_remembers_is_not_cut(
    root: Path, tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    large = root / "sub" / "large"
    run(put(server, large.read_bytes()), tmp_path / "large", server, store)
    progress = Counter()
    options = PullOptions(seeds=(tmp_path / "large",))
    done = pulled(tree, tmp_path / "target", server, store, options=options, progress=progress)
    assert done.seeds == {tmp_path / "large": 3 << 20}
    assert "reading seed" not in dict(progress.phases)


def test_the_folder_above_must_be_there(
    tree: ManifestId, server: MemoryServer, store: MemoryStore, tmp_path: Path
) -> None:
    with pytest.raises(WriteError, match="there is no folder"):
        pulled(tree, tmp_path / "no" / "target", server, store)
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="is not a folder"):
        pulled(tree, tmp_path / "file", server, store)


def test_a_small_pull_does_not_wait_for_writes_of_others(
    root: Path,
    tree: ManifestId,
    server: MemoryServer,
    store: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced: list[int] = []

    def note(fd: int) -> None:
        synced.append(fd)
        sync_file_system(fd)

    monkeypatch.setattr(publish, "sync_file_system", note)
    pulled(tree, tmp_path / "target", server, store)
    assert synced == []
    for number in range(100):
        (root / f"more {number}").write_text(str(number))
    pulled(prepared(root, server).manifest, tmp_path / "target", server, store)
    assert len(synced) == 1
    assert seen(tmp_path / "target") == seen(root)
