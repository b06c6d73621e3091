"""Quotas: what a store accepts, and that its count matches its segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.errors import QuotaError
from casync.names.name import Ref, parse_name
from casync.names.name_update import NameUpdate
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.quota import Quota, read_quota
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack
from tests.support.small_store import content, fill

KIB = 1024


def quota_of(store: LmdbStore) -> Quota | None:
    with store._environment.reading() as txn:
        return read_quota(txn, store._environment.databases["meta"])


def counts_what_lives(store: LmdbStore) -> bool:
    quota = quota_of(store)
    return quota is not None and quota.held == store.usage(objects=False).live


def test_a_commit_beyond_the_quota_is_refused_whole(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        store.set_quota(100 * KIB)
        kept = [pack(noise(1000, n)) for n in range(80)]
        store.commit(Batch(objects=kept))
        before = quota_of(store)
        with pytest.raises(QuotaError) as caught:
            store.commit(Batch(objects=[pack(noise(1000, 1000 + n)) for n in range(30)]))
        assert "quota of 100 KiB" in caught.value.message
        assert quota_of(store) == before
        assert store.commit(Batch(objects=kept)).objects == 0  # existing objects cost nothing
        store.commit(Batch(objects=[pack(noise(1000, 2000))]))
        assert counts_what_lives(store)


def test_a_quota_may_be_used_to_its_last_byte(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        item = pack(noise(1000, 1))
        store.set_quota(1056)
        store.commit(Batch(objects=[item]))
        assert quota_of(store) == (1056, 1056)
        with pytest.raises(QuotaError):
            store.commit(Batch(objects=[pack(b"x")]))


def test_the_count_of_a_quota_stays_exact(tmp_path: Path) -> None:
    path = tmp_path / "store"
    fill(path)
    with LmdbStore.open(path) as store:
        store.set_quota(10**9)
        assert counts_what_lives(store)
        ident, packed = content([noise(3000, n) for n in range(5000, 5100)])
        store.commit(Batch(objects=packed, manifests=[(ident, ManifestState.FULL, 300_000)]))
        store.set_name(NameUpdate(parse_name("more"), ident))
        assert counts_what_lives(store)
        store.commit(Batch(mended=packed[:3]))
        store.remove([Ref(name=parse_name("more"))])
        assert collect(store, CollectOptions(0)).objects == len(packed)
        assert counts_what_lives(store)
    reindex(path)
    with LmdbStore.open(path) as store:
        assert counts_what_lives(store)
        store.set_quota(0)
        assert quota_of(store) is None
        assert store.usage(objects=False).quota == 0


def test_removing_and_collecting_work_beyond_the_quota(tmp_path: Path) -> None:
    path = tmp_path / "store"
    small = fill(path)
    with LmdbStore.open(path) as store:
        store.set_quota(1)  # less than the store holds
        item = pack(noise(1000, 1))
        push = store.pushes.begin()
        for _ in range(2):
            with pytest.raises(QuotaError):
                store.pushes.put(push, [item], spare=0)
        with pytest.raises(QuotaError):  # and so is whatever else was sent at the same time
            store.pushes.promise(push, item.kind, [item.id])
        (found, *_) = small.manifests
        names = [Ref(name=record.name) for record in store.names()]  # type: ignore[arg-type]
        store.remove(names)
        store.restore(names[:1])
        store.remove(names[:1])
        assert store.manifest(found) is None
        assert collect(store, CollectOptions(0)).objects == len(small.objects)
        quota = quota_of(store)
        assert quota is not None
        assert quota.held == store.usage(objects=False).live


def test_a_repair_takes_no_more_of_the_quota_than_there_was(tmp_path: Path) -> None:
    """What is replaced does not count beside what replaces it, even in a full store."""
    damaged = pack(noise(9000))
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        store.commit(Batch([damaged]))
        full = store.usage(objects=False).live
        store.set_quota(full)
        for _ in range(3):
            store.commit(Batch(mended=[damaged]))
            assert quota_of(store) == Quota(full, full)
            assert counts_what_lives(store)
        with pytest.raises(QuotaError):
            store.commit(Batch([pack(noise(500))]))
