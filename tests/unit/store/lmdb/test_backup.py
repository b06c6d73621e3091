"""Backups and compaction: copies that are stores."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casync.errors import DamagedStoreError, LockedError, NoSpaceError, NoStoreError, UsageError
from casync.ids import Kind
from casync.names.name import Ref, parse_name
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.ops.upkeep.verify import verify
from casync.store.base import Batch
from casync.store.lmdb.backup import compact
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import pack
from tests.support.small_store import SmallStore, fill


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Limits the size of files to `size` bytes."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def store_files(path: Path) -> dict[str, int]:
    """Files of a store and their modes."""
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()}


def assert_holds(path: Path, small: SmallStore) -> None:
    """Checks that everything is there as it was put."""
    with LmdbStore.open(path, read_only=True) as store:
        assert not verify(store).faults
        assert {row.id for row in store.manifests()} == set(small.manifests)
        for name, manifests in small.history.items():
            assert [record.manifest for record in store.history(name)] == manifests
        for kind in Kind:
            ids = [ident for of, ident in small.objects if of is kind]
            assert all(stat is not None for stat in store.stat(kind, ids))


def test_a_backup_is_a_store(path: Path, tmp_path: Path) -> None:
    small = fill(path)
    copy = tmp_path / "far" / "copy"
    sizes: list[int] = []
    with LmdbStore.open(path) as store:
        store.backup(copy, advance=sizes.append)
        assert sum(sizes) == (copy / "data.mdb").stat().st_size
        with LmdbStore.open(copy) as other:
            assert other.store_id == store.store_id
            other.commit(Batch(objects=[pack(b"more")]))
            assert store.stat(Kind.CHUNK, [pack(b"more").id]) == [None]
    assert_holds(copy, small)
    assert store_files(copy) == store_files(path)


def test_a_backup_replaces_no_store(path: Path, tmp_path: Path) -> None:
    fill(path)
    small = fill(tmp_path / "other", versions=1)
    with LmdbStore.open(path) as store, pytest.raises(UsageError, match="already holds a store"):
        store.backup(tmp_path / "other")
    assert_holds(tmp_path / "other", small)


def test_an_interrupted_backup_is_not_a_store_and_can_be_repeated(
    path: Path, tmp_path: Path
) -> None:
    small = fill(path)
    copy = tmp_path / "copy"
    with LmdbStore.open(path) as store:
        with full_disk(100_000), pytest.raises(NoSpaceError):
            store.backup(copy)
        with pytest.raises(NoStoreError):
            LmdbStore.open(copy, read_only=True)
        store.backup(copy)
    assert_holds(copy, small)


def test_a_damaged_store_is_not_copied(path: Path, tmp_path: Path) -> None:
    fill(path)
    with LmdbStore.open(path, read_only=True) as store:
        with open(path / "data.mdb", "r+b") as file:
            end = file.seek(0, os.SEEK_END) // 4096
            for page in range(2, end):  # the leaf pages of small trees
                file.seek(page * 4096 + 10)
                if int.from_bytes(file.read(2), "little") == 2:  # a leaf page's flags
                    file.seek(page * 4096 + 12)
                    file.write(b"\xff" * 4)
        with pytest.raises(DamagedStoreError):
            store.backup(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_compacting_returns_what_a_collection_freed(path: Path) -> None:
    small = fill(path, versions=6, size=20000)
    with LmdbStore.open(path) as store:
        store.remove([Ref(name=parse_name(f"versions/{n}")) for n in range(6)])
        store.remove([Ref(name=parse_name("images/disk"), version=n) for n in range(1, 6)])
        collect(store, CollectOptions(window=0))
        gain = store.usage().free
    assert gain > 0
    mode = (path / "data.mdb").stat().st_mode
    done = compact(path)
    assert done.before - done.after > gain // 2
    assert (path / "data.mdb").stat().st_mode == mode
    kept = small.history[parse_name("images/disk")][-1]
    with LmdbStore.open(path) as store:
        assert store.usage().free < gain // 2
        assert [row.id for row in store.manifests()] == [kept]
        assert not verify(store).faults
        store.commit(Batch(objects=[pack(b"more")]))
    with LmdbStore.open(path) as store:
        assert store.stat(Kind.CHUNK, [pack(b"more").id]) != [None]
    assert store_files(path).keys() == {"data.mdb", "lock.mdb", "store.lock"}


OTHER = """
import sys
from pathlib import Path
from casync.store.lmdb.store import LmdbStore
with LmdbStore.open(Path(sys.argv[1]), read_only=sys.argv[2] == "read"):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_store_in_use_is_not_compacted(path: Path, mode: str) -> None:
    fill(path)
    inode = (path / "data.mdb").stat().st_ino
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, path, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(LockedError, match="is in use"):
            compact(path)
        other.communicate(b"")
    assert (path / "data.mdb").stat().st_ino == inode
    compact(path)
    assert (path / "data.mdb").stat().st_ino != inode


def test_a_store_being_compacted_cannot_be_opened(path: Path) -> None:
    fill(path)
    refused: list[str] = []

    def come(_: int) -> None:
        for read_only in (True, False):
            with pytest.raises(LockedError) as caught:
                LmdbStore.open(path, read_only=read_only)
            refused.append(caught.value.message)

    compact(path, advance=come)
    assert len(refused) >= 2
    assert all("is being compacted" in message for message in refused)
    LmdbStore.open(path).close()


def test_the_remains_of_a_killed_compaction_are_removed(path: Path) -> None:
    small = fill(path)
    (path / "compacting").mkdir()
    (path / "compacting" / "data.mdb").write_bytes(b"half")
    LmdbStore.open(path, read_only=True).close()
    assert (path / "compacting").exists()
    LmdbStore.open(path).close()
    assert not (path / "compacting").exists()
    (path / "compacting").mkdir()
    (path / "compacting" / "data.mdb").write_bytes(b"half")
    compact(path)
    assert_holds(path, small)


def test_a_full_disk_leaves_the_store_as_it_was(path: Path) -> None:
    small = fill(path)
    with full_disk(100_000), pytest.raises(NoSpaceError):
        compact(path)
    assert not (path / "compacting").exists()
    assert_holds(path, small)


def test_only_stores_are_compacted(path: Path) -> None:
    with pytest.raises(NoStoreError):
        compact(path)
