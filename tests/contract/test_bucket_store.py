from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from casync.bucket.storage import ObjectStorage
from casync.remote.storages.folder import FolderStorage
from casync.store.bucket.store import BucketStore
from tests.contract.collection_contract import CollectionContract
from tests.contract.editable_contract import EditableContract
from tests.contract.job_contract import JobContract
from tests.contract.job_rows_contract import JobRowsContract
from tests.contract.push_contract import PushContract
from tests.contract.store_contract import StoreContract
from tests.contract.whole_store import Clock, Reopen, WholeStore
from tests.support.memory_storage import MemoryStorage


class BucketFixtures:
    @pytest.fixture
    def storage(self, tmp_path: Path, clock: Clock) -> ObjectStorage:
        return MemoryStorage(clock=clock)

    @pytest.fixture
    def store(self, storage: ObjectStorage, tmp_path: Path, clock: Clock) -> Iterator[BucketStore]:
        path = tmp_path / "tables"
        with BucketStore.open_bucket(storage, path, create=True, grace=0, clock=clock) as store:
            yield store

    @pytest.fixture
    def reopen(self, storage: ObjectStorage, store: BucketStore, clock: Clock) -> Iterator[Reopen]:
        with ExitStack() as stack:
            stack.push(store)

            def again() -> WholeStore:
                stack.close()
                opened = BucketStore.open_bucket(storage, store.path, grace=0, clock=clock)
                return stack.enter_context(opened)

            yield again


class TestBucketStore(
    BucketFixtures,
    StoreContract,
    EditableContract,
    PushContract,
    CollectionContract,
    JobContract,
    JobRowsContract,
):
    """All contracts, in a bucket in memory."""


class TestBucketStoreInAFolder(BucketFixtures, StoreContract, CollectionContract):
    """What depends on the storage, in a folder that stands for a bucket."""

    @pytest.fixture
    def storage(self, tmp_path: Path, clock: Clock) -> ObjectStorage:
        return FolderStorage(tmp_path / "bucket")
