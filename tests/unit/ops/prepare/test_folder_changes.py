"""Folders that are prepared again, and files that keep changing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casync.fs.identity import identity_of
from casync.fs.scan_cache import ScanCache
from casync.ids import manifest_id
from casync.objects.tree import File
from casync.ops.prepare.prepared import FolderPrepared
from casync.store.memory import MemoryStore
from tests.support.preparing import noise
from tests.support.tree_entries import CONTENT, META
from tests.support.tree_worlds import PARAMS, bytes_of, prepared, tree

_opened: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None:
        path = arguments[0]
        _opened.append(os.fsdecode(path) if isinstance(path, bytes) else str(path))


sys.addaudithook(_watch)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The paths that this process opens meanwhile."""
    global _opened
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture
def scan_cache(tmp_path: Path) -> ScanCache:
    return ScanCache(tmp_path / "folders")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    for number in range(30):
        (root / "a" / f"file{number}").write_bytes(noise(1000 + number, number))
        (root / "a" / "b" / f"file{number}").write_bytes(noise(100, number))
    (root / "a-b").write_text("between")
    (root / "large").write_bytes(noise(3 << 20))
    (root / "link").symlink_to("a")
    os.link(root / "large", root / "z")
    return root


@pytest.fixture
def again(
    root: Path, store: MemoryStore, scan_cache: ScanCache
) -> Callable[..., tuple[FolderPrepared, list[str]]]:
    """Prepares the folder and says which of its files were opened."""

    def run(*, reread: bool = False) -> tuple[FolderPrepared, list[str]]:
        with opened() as paths:
            done = prepared(root, store, scan_cache=scan_cache, reread=reread)
        ours = {"large", "a-b", "z"}
        return done, [path for path in paths if path in ours or path.startswith("file")]

    return run


Again = Callable[..., tuple[FolderPrepared, list[str]]]


def test_an_unchanged_folder_is_prepared_without_reading_files(again: Again) -> None:
    first, read = again()
    assert len(read) == 62
    second, read = again()
    assert read == []
    assert second.manifest == first.manifest
    assert (first.added, first.changed, first.unchanged) == (62, 0, 0)
    assert (second.added, second.changed, second.unchanged) == (0, 0, 62)
    assert first.new_length > first.length > 3 << 20
    assert (second.new_length, second.stored) == (0, 0)
    assert (second.files, second.length) == (first.files, first.length)


def test_only_what_changed_is_read(again: Again, root: Path, store: MemoryStore) -> None:
    again()
    (root / "a" / "file7").write_bytes(noise(1007, 99))
    (root / "a" / "b" / "new").write_text("new")
    (root / "a" / "file8").unlink()
    (root / "a-b").rename(root / "a.b")
    done, read = again()
    assert read == ["file7"]
    assert (done.added, done.changed, done.unchanged) == (2, 1, 59)
    assert done.new_length < 20_000
    assert bytes_of(store, done.manifest, "a/file7") == noise(1007, 99)
    assert prepared(root, MemoryStore()).manifest == done.manifest


def test_equal_times_and_sizes_do_not_hide_another_file(
    again: Again, root: Path, store: MemoryStore
) -> None:
    again()
    old = (root / "a" / "file1").stat()
    (root / "a" / "file1").write_bytes(noise(1001, 77))
    os.utime(root / "a" / "file1", ns=(old.st_atime_ns, old.st_mtime_ns))
    done, read = again()
    assert read == ["file1"]
    assert bytes_of(store, done.manifest, "a/file1") == noise(1001, 77)


def test_reread_reads_every_file(again: Again) -> None:
    first, _ = again()
    second, read = again(reread=True)
    assert len(read) == 62
    assert second.manifest == first.manifest
    assert (second.added, second.changed, second.unchanged) == (0, 0, 62)


def test_a_file_that_changed_a_moment_ago_is_read_and_counts_as_what_it_is(
    root: Path, store: MemoryStore, scan_cache: ScanCache
) -> None:
    first = prepared(root, store, scan_cache=scan_cache, clock=lambda: 0)
    (root / "a-b").write_bytes(b"changed")
    with opened() as paths:
        second = prepared(root, store, scan_cache=scan_cache)
    assert "file7" in paths
    assert (second.added, second.changed, second.unchanged) == (0, 1, first.added - 1)


def test_the_scan_cache_is_not_used_for_a_store_without_the_content(
    again: Again, root: Path, scan_cache: ScanCache
) -> None:
    again()
    elsewhere = MemoryStore()
    done = prepared(root, elsewhere, scan_cache=scan_cache)
    assert done.new_length >= done.length
    assert bytes_of(elsewhere, done.manifest, "a-b") == b"between"


def test_a_damaged_scan_cache_is_not_used(
    again: Again, root: Path, scan_cache: ScanCache, tmp_path: Path
) -> None:
    first, _ = again()
    (path,) = (tmp_path / "folders").iterdir()
    whole = path.read_bytes()
    for position in range(0, len(whole), 397):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        done, _ = again()
        assert done.manifest == first.manifest
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        done, read = again()
        assert done.manifest == first.manifest
        assert read != []


def test_young_files_are_not_remembered(root: Path, tmp_path: Path) -> None:
    youngest = max(path.lstat().st_ctime_ns for path in root.rglob("*"))
    for seen_at, remembered in ((youngest + 10**9, False), (youngest + 3 * 10**9, True)):
        new = ScanCache(tmp_path / "s").new(root, PARAMS, seen_at)
        status = (root / "large").stat()
        entry = File(b"x", META, None, CONTENT)
        new.add(b"x", identity_of(status), entry)
        new.keep(manifest_id(b"m"))
        last = ScanCache(tmp_path / "s").last(root, PARAMS)
        assert last is not None
        assert (last.find(b"x", identity_of(status)) == entry) == remembered
        last.close()


def test_a_dropped_scan_leaves_no_file(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "s"
    new = ScanCache(place).new(root, PARAMS, 0)
    assert len(list(place.iterdir())) == 1
    new.drop()
    assert list(place.iterdir()) == []


def test_a_file_that_keeps_changing_is_left_out_and_the_rest_is_there(
    root: Path, store: MemoryStore
) -> None:
    stop = threading.Event()

    def scribble() -> None:
        with open(root / "a" / "file3", "r+b") as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(500))
                file.truncate(1000)
                file.flush()
                os.utime(file.fileno())

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        # It may be read between two writes; a mixture or a failed prepare must never happen.
        for _ in range(20):
            done = prepared(root, store)
            if done.left_out:
                break
    finally:
        stop.set()
        thread.join()
    assert [path for path, _ in done.left_out] in ([], [b"a/file3"])
    assert (b"a/file3" in tree(store, done.manifest)) == (done.left_out == [])
    assert done.files == 63 - len(done.left_out)


def test_files_without_a_true_size_are_left_out(store: MemoryStore) -> None:
    done = prepared(Path("/proc/sys/kernel/random"), store)
    assert {reason for _, reason in done.left_out} >= {"it changed while it was read"}
