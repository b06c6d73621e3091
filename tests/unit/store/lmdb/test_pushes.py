"""Pushes to the store on disk, besides what their contract says."""

from __future__ import annotations

import os

import pytest

from casync.errors import NoSpaceError
from casync.ids import Kind
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.lmdb.store import LmdbStore
from tests.contract.push_contract import chunks, here
from tests.contract.store_contract import ids_of, pack

pytestmark = pytest.mark.stores("lmdb")

NOW = CollectOptions(window=0)


def test_a_promise_is_written_only_when_needed(store: LmdbStore) -> None:
    packed = chunks(5)
    push = store.pushes.begin()
    store.pushes.put(push, packed, spare=0)
    before = store._environment._lmdb.info()["last_txnid"]
    store.pushes.promise(push, Kind.CHUNK, ids_of(packed))
    assert store._environment._lmdb.info()["last_txnid"] == before


def test_pages_that_are_free_count_as_room(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(store.path)

    class Full:
        f_bavail, f_frsize, f_blocks = 0, real.f_frsize, real.f_blocks

    push = store.pushes.begin()
    packed = chunks(2000)
    store.pushes.put(push, packed, spare=0)
    store.pushes.end(push)
    push = store.pushes.begin()
    monkeypatch.setattr(os, "statvfs", lambda _: Full)
    with pytest.raises(NoSpaceError, match="no space on"):
        store.pushes.put(push, [pack(b"more")], spare=0)
    assert here(store, [pack(b"more")]) == 0
    store.remove([])  # works without free space
    with pytest.raises(NoSpaceError, match="was given up"):
        store.pushes.promise(push, Kind.CHUNK, ids_of(packed))
    assert store.pushes.open() == []
    assert collect(store, NOW).objects == 2000
    push = store.pushes.begin()
    assert store.pushes.put(push, [pack(b"more")], spare=0).objects == 1
    with pytest.raises(NoSpaceError):
        store.pushes.put(push, [pack(b"and more")], spare=2**40)
