"""Buckets that hold no store, another one, or a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.bucket.keys import HEAD_KEY, RUNS
from casync.errors import DamagedStoreError, NoStoreError
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
