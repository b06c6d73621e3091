from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from casync.limits import MAP_BYTES
from casync.store.lmdb.store import LmdbStore
from tests.contract.collection_contract import CollectionContract
from tests.contract.editable_contract import EditableContract
from tests.contract.job_contract import JobContract
from tests.contract.job_rows_contract import JobRowsContract
from tests.contract.push_contract import PushContract
from tests.contract.store_contract import StoreContract
from tests.contract.whole_store import Clock, Reopen, WholeStore


class TestLmdbStore(
    StoreContract, EditableContract, PushContract, CollectionContract, JobContract, JobRowsContract
):
    map_bytes = MAP_BYTES

    @pytest.fixture
    def store(self, tmp_path: Path, clock: Clock) -> Iterator[LmdbStore]:
        path = tmp_path / "store"
        with LmdbStore.open(path, create=True, map_bytes=self.map_bytes) as store:
            store._clock = clock
            yield store

    @pytest.fixture
    def reopen(self, store: LmdbStore, clock: Clock) -> Iterator[Reopen]:
        with ExitStack() as stack:
            stack.push(store)

            def again() -> WholeStore:
                stack.close()
                opened = LmdbStore.open(store.path, map_bytes=self.map_bytes)
                opened._clock = clock
                return stack.enter_context(opened)

            yield again


class TestLmdbStoreWithASmallMap(TestLmdbStore):
    """The same contracts while the map keeps growing."""

    map_bytes = 128 * 1024
