from __future__ import annotations

import pytest

from casync.store.base import ObjectStore
from casync.store.memory import MemoryStore
from tests.contract.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()
