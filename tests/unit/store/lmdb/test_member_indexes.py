"""Rows of member indexes on disk, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.errors import DamagedStoreError
from casync.objects.node import Content
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import pack, put_manifest
from tests.unit.store.lmdb.test_roots import spoil

GOOD = Content(0, pack(b"index").id, 5)
KEY = pack(b"archive").id

BAD_ROWS = [
    (KEY, b""),
    (KEY, b"\xff" * 41),
    (KEY, b"\0" + bytes(32) + bytes(8)),
    (b"short", b"\0" + GOOD.id + (5).to_bytes(8, "little")),
]


@pytest.mark.parametrize(("key", "value"), BAD_ROWS, ids=["empty", "level", "length", "key"])
def test_a_damaged_row_is_none_and_leaves_with_a_reindex(
    tmp_path: Path, key: bytes, value: bytes
) -> None:
    path = tmp_path / "store"
    kept = pack(b"kept").id
    with LmdbStore.open(path, create=True) as store:
        put_manifest(store, b"content", "name")
        store.commit(Batch(objects=[pack(b"index")], member_indexes=[(kept, GOOD)]))
    spoil(path, lambda raw: raw.put("member_indexes", key, value))
    with LmdbStore.open(path) as store:
        assert store.member_index(key) is None
        with pytest.raises(DamagedStoreError, match="member_indexes"):
            store.check()
    reindex(path)
    with LmdbStore.open(path) as store:
        store.check()
        assert store.member_index(kept) == GOOD
        assert collect(store, CollectOptions(window=0)).roots == 1
        assert store.member_index(kept) is None
