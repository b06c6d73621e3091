"""Buckets that hold no store, another one, or a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.bucket.keys import HEAD_KEY, MARKER_KEY, RUNS
from casync.errors import CasyncError, DamagedStoreError, NoStoreError
from casync.store.bucket.creation import find_store
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import put_manifest
from tests.support.memory_storage import MemoryStorage


def test_tables_of_another_store_are_refused(tmp_path: Path) -> None:
    with BucketStore.open_bucket(MemoryStorage(), tmp_path, create=True) as store:
        put_manifest(store, b"1", "disk")
    with pytest.raises(DamagedStoreError, match="another store"):
        BucketStore.open_bucket(MemoryStorage(), tmp_path, create=True)


def test_there_is_no_store_in_an_empty_bucket(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError):
        BucketStore.open_bucket(MemoryStorage(), tmp_path)


@pytest.mark.parametrize("key", [HEAD_KEY, RUNS])
def test_damage_is_named(tmp_path: Path, key: str) -> None:
    storage = MemoryStorage()
    with BucketStore.open_bucket(storage, tmp_path / "one", create=True) as store:
        put_manifest(store, b"1", "disk")
    (found,) = [each.key for each in storage.list(key)]
    for data in (b"", b"rubbish" * 50):
        storage.put(found, data)
        with pytest.raises(DamagedStoreError, match="memory"):
            BucketStore.open_bucket(storage, tmp_path / "two")
    storage.delete([found])
    with pytest.raises(DamagedStoreError, match="memory has lost"):
        BucketStore.open_bucket(storage, tmp_path / "two")


def test_a_store_without_its_head_is_not_begun_anew(tmp_path: Path) -> None:
    storage = MemoryStorage()
    with BucketStore.open_bucket(storage, tmp_path / "one", create=True) as store:
        put_manifest(store, b"1", "disk")
    storage.delete([HEAD_KEY])
    with pytest.raises(DamagedStoreError, match="lost its head"):
        BucketStore.open_bucket(storage, tmp_path / "two", create=True)
    assert storage.get(HEAD_KEY) is None


def test_a_store_without_its_marker_is_not_begun_anew(tmp_path: Path) -> None:
    storage = MemoryStorage()
    with BucketStore.open_bucket(storage, tmp_path / "one", create=True) as store:
        put_manifest(store, b"1", "disk")
    marker = storage.get(MARKER_KEY)
    assert marker is not None
    storage.delete([MARKER_KEY])
    for tables, create in (("one", True), ("one", False), ("two", True), ("two", False)):
        with pytest.raises(DamagedStoreError, match="lost its object `store`") as caught:
            BucketStore.open_bucket(storage, tmp_path / tables, create=create)
        assert "back from an older version or a copy" in caught.value.next_step
    with pytest.raises(DamagedStoreError, match="lost its object `store`"):
        find_store(storage)
    head = storage.get(HEAD_KEY)
    assert head is not None
    storage.delete([HEAD_KEY])
    with pytest.raises(DamagedStoreError, match="lost its object `store`"):
        BucketStore.open_bucket(storage, tmp_path / "two", create=True)
    for key, stored in ((HEAD_KEY, head), (MARKER_KEY, marker)):
        storage.put(key, stored.data)
    BucketStore.open_bucket(storage, tmp_path / "two").close()


def test_no_store_is_made_beside_objects_of_others(tmp_path: Path) -> None:
    storage = MemoryStorage()
    storage.put("seg/another", b"1")
    with pytest.raises(CasyncError, match="not empty, and no store"):
        BucketStore.open_bucket(storage, tmp_path, create=True)


def test_a_store_whose_maker_was_killed_before_the_head_is_finished(tmp_path: Path) -> None:
    storage = MemoryStorage()
    BucketStore.open_bucket(storage, tmp_path / "one", create=True).close()
    storage.delete([HEAD_KEY])
    BucketStore.open_bucket(storage, tmp_path / "two", create=True).close()
    assert storage.get(HEAD_KEY) is not None


def test_a_probe_that_was_killed_keeps_no_store_from_being_made(tmp_path: Path) -> None:
    storage = MemoryStorage()
    storage.put("probe/0011/object", b"1")
    BucketStore.open_bucket(storage, tmp_path, create=True).close()
    assert storage.get(HEAD_KEY) is not None
