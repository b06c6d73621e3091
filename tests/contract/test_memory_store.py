from __future__ import annotations

import pytest

from casync.store.memory import MemoryStore
from tests.contract.collection_contract import CollectionContract
from tests.contract.editable_contract import EditableContract
from tests.contract.job_contract import JobContract
from tests.contract.job_rows_contract import JobRowsContract
from tests.contract.push_contract import PushContract
from tests.contract.store_contract import StoreContract
from tests.contract.whole_store import Clock, Reopen, WholeStore


class TestMemoryStore(
    StoreContract, EditableContract, PushContract, CollectionContract, JobContract, JobRowsContract
):
    @pytest.fixture
    def store(self, clock: Clock) -> MemoryStore:
        return MemoryStore(clock=clock)

    @pytest.fixture
    def reopen(self, store: MemoryStore) -> Reopen:
        def again() -> WholeStore:
            store.close()
            return store

        return again
