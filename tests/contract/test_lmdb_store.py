from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.store.base import ObjectStore
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import StoreContract


class TestLmdbStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        with LmdbStore.open(tmp_path / "store", create=True) as store:
            yield store


class TestLmdbStoreWithASmallMap(StoreContract):
    """The same again while the map must grow all the time."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        path = tmp_path / "store"
        LmdbStore.open(path, create=True, map_bytes=128 * 1024).close()
        with LmdbStore.open(path, map_bytes=128 * 1024) as store:
            yield store
