"""Pushed and promised objects stay, and only while the push is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.errors import LostRaceError, NoObjectError, NoSpaceError, NotFoundError
from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.push_rows import SILENCE
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack, put_manifest
from tests.support.small_store import content

NOW = CollectOptions(window=0)
NAME = parse_name("disk")
DAY = 86400


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[LmdbStore]:
    with LmdbStore.open(path, create=True) as store:
        store._clock = clock
        yield store


def chunks(count: int) -> list[Verified]:
    return [pack(noise(3000, n)) for n in range(count)]


def here(store: LmdbStore, packed: list[Verified]) -> int:
    return sum(stat is not None for stat in store.stat(Kind.CHUNK, ids_of(packed)))


def loose(path: Path, packed: list[Verified]) -> None:
    """Objects of a writer that ended without publishing."""
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=packed))


def test_pushed_objects_outlive_collections_and_processes(path: Path, clock: Clock) -> None:
    packed = chunks(50)
    with LmdbStore.open(path, create=True) as store:
        store._clock = clock
        push = store.pushes.begin()
        assert store.pushes.put(push, packed, spare=0)[:2] == (
            50,
            sum(len(p.payload) for p in packed),
        )
        assert store.pushes.put(push, packed, spare=0).objects == 0
    with LmdbStore.open(path) as store:
        store._clock = clock
        for _ in range(3):
            assert collect(store, NOW).objects == 0
        clock.now += DAY + 1
        assert collect(store, CollectOptions(0, dry_run=True)).objects == 50
        assert here(store, packed) == 50
        assert collect(store, NOW).objects == 50
        with pytest.raises(NotFoundError, match="has ended"):
            store.pushes.put(push, packed, spare=0)


def test_promised_objects_stay_and_others_go(path: Path, clock: Clock) -> None:
    packed = chunks(40)
    loose(path, packed)
    with LmdbStore.open(path) as store:
        store._clock = clock
        collect(store, CollectOptions(0, dry_run=True))
        push = store.pushes.begin()
        asked = [*ids_of(packed[:10]), chunk_id(b"absent")]
        stats = store.pushes.promise(push, Kind.CHUNK, asked)
        assert stats == store.stat(Kind.CHUNK, asked)
        collect(store, NOW)
        collect(store, NOW)
        assert here(store, packed[:10]) == 10
        assert here(store, packed[10:]) == 30  # of the generation that the push began in
        later = store.pushes.begin()
        store.pushes.promise(later, Kind.CHUNK, asked)
        store.pushes.end(push)
        assert collect(store, NOW).objects == 30
        store.pushes.end(later)
        store.pushes.end(later)
        assert collect(store, NOW).objects == 10


def test_a_promise_is_written_only_when_needed(store: LmdbStore) -> None:
    packed = chunks(5)
    push = store.pushes.begin()
    store.pushes.put(push, packed, spare=0)
    before = store._environment._lmdb.info()["last_txnid"]
    store.pushes.promise(push, Kind.CHUNK, ids_of(packed))
    assert store._environment._lmdb.info()["last_txnid"] == before


def test_a_push_that_only_queries_stays_open(store: LmdbStore, clock: Clock) -> None:
    packed = chunks(5)
    push = store.pushes.begin()
    store.pushes.put(push, packed, spare=0)
    for _ in range(5):
        clock.now += SILENCE - 1
        store.pushes.promise(push, Kind.CHUNK, ids_of(packed))
        assert collect(store, NOW).objects == 0


@pytest.mark.parametrize("jump", [-10 * 365 * DAY, 10 * 365 * DAY])
def test_a_clock_that_jumps_ends_pushes_and_loses_nothing_published(
    store: LmdbStore, clock: Clock, jump: float
) -> None:
    kept = put_manifest(store, b"kept", "kept")
    push = store.pushes.begin()
    ident, packed = content([noise(3000, n) for n in range(40)])
    store.pushes.put(push, packed, spare=0)
    clock.now += jump
    collect(store, NOW)
    with pytest.raises(NotFoundError):
        store.pushes.publish(push, ident, 120_000)
    assert store.manifest(kept) is not None
    assert store.manifest(ident) is None


def test_publishing_ends_the_push(store: LmdbStore) -> None:
    ident, packed = content([noise(3000, n) for n in range(40)])
    push = store.pushes.begin()
    store.pushes.put(push, packed, spare=0)
    record = store.pushes.publish(push, NameUpdate(NAME, ident, 0), 120_000)
    assert record is not None
    assert (record.version, record.manifest) == (1, ident)
    row = store.manifest(ident)
    assert row is not None
    assert (row.state, row.length) == (ManifestState.FULL, 120_000)
    assert collect(store, NOW).objects == 0
    with pytest.raises(NotFoundError):
        store.pushes.promise(push, Kind.CHUNK, ids_of(packed))


def test_a_lost_race_leaves_the_push_open(store: LmdbStore) -> None:
    put_manifest(store, b"other", NAME)
    ident, packed = content([b"a", b"b"])
    push = store.pushes.begin()
    store.pushes.put(push, packed, spare=0)
    with pytest.raises(LostRaceError):
        store.pushes.publish(push, NameUpdate(NAME, ident, 0), 2)
    assert store.manifest(ident) is None
    assert store.pushes.publish(push, ident, 2) is None
    nothing = store.pushes.begin()
    with pytest.raises(NoObjectError):
        store.pushes.publish(nothing, ManifestId(bytes(32)), 2)


def test_a_push_beyond_the_limit_ends_the_longest_silent_one(
    store: LmdbStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casync.store.lmdb.pushes._MOST_PUSHES", 3)
    pushes = []
    for _ in range(3):
        clock.now += 10
        pushes.append(store.pushes.begin())
    clock.now += 10
    store.pushes.put(pushes[0], chunks(1), spare=0)
    pushes.append(store.pushes.begin())
    alive = []
    for push in pushes:
        try:
            store.pushes.promise(push, Kind.CHUNK, [chunk_id(b"")])
            alive.append(push)
        except NotFoundError:
            continue
    assert alive == [pushes[0], *pushes[2:]]


def test_free_pages_count_as_free_space(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert collect(store, NOW).objects == 0  # of the generation of the push
    store.pushes.end(push)
    assert collect(store, NOW).objects == 2000
    push = store.pushes.begin()
    assert store.pushes.put(push, [pack(b"more")], spare=0).objects == 1
    with pytest.raises(NoSpaceError):
        store.pushes.put(push, [pack(b"and more")], spare=2**40)
