"""The contract of stores that take pushes.

Objects that a push brings or is promised stay while the push is open, and no longer. A test module
derives from `PushContract` and provides `clock`, `store` and `reopen`; a server overrides
`pushes_of` with its own pushes to that store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from casync.errors import LostRaceError, NoObjectError, NotFoundError
from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestState
from casync.store.push import SILENCE, OpenPush, Pushes
from tests.contract.store_contract import ids_of, noise, pack, put_manifest
from tests.contract.whole_store import DAY, Clock, Reopen, WholeStore
from tests.support.small_store import content

NOW = CollectOptions(window=0)
NAME = parse_name("disk")


def chunks(count: int) -> list[Verified]:
    return [pack(noise(3000, n)) for n in range(count)]


def here(store: WholeStore, packed: list[Verified]) -> int:
    return sum(stat is not None for stat in store.stat(Kind.CHUNK, ids_of(packed)))


PushesOf: TypeAlias = Callable[[WholeStore], Pushes]


class PushContract:
    @pytest.fixture
    def pushes_of(self) -> PushesOf:
        return lambda store: store.pushes

    def test_pushed_objects_survive_collections_and_reopening(
        self, store: WholeStore, pushes_of: PushesOf, reopen: Reopen, clock: Clock
    ) -> None:
        pushes = pushes_of(store)
        packed = chunks(50)
        push = pushes.begin()
        size = sum(len(item.payload) for item in packed)
        assert pushes.put(push, packed, spare=0)[:2] == (50, size)
        assert pushes.put(push, packed, spare=0).objects == 0
        store = reopen()
        pushes = pushes_of(store)
        for _ in range(3):
            assert collect(store, NOW).objects == 0
        clock.now += DAY + 1
        assert collect(store, CollectOptions(0, dry_run=True)).objects == 50
        assert here(store, packed) == 50
        assert collect(store, NOW).objects == 50
        with pytest.raises(NotFoundError, match="has ended"):
            pushes.put(push, packed, spare=0)

    def test_promised_objects_stay_and_others_are_collected(
        self, store: WholeStore, pushes_of: PushesOf, reopen: Reopen
    ) -> None:
        packed = chunks(40)
        store.commit(Batch(objects=packed))
        store = reopen()  # their writer ended before it published anything
        pushes = pushes_of(store)
        push = pushes.begin()
        asked = [*ids_of(packed[:10]), chunk_id(b"absent")]
        stats = pushes.promise(push, Kind.CHUNK, asked)
        assert stats == store.stat(Kind.CHUNK, asked)
        collect(store, NOW)
        collect(store, NOW)
        assert here(store, packed[:10]) == 10
        assert here(store, packed[10:]) == 30  # written in the generation in which the push began
        later = pushes.begin()
        pushes.promise(later, Kind.CHUNK, asked)
        pushes.end(push)
        assert collect(store, NOW).objects == 30
        pushes.end(later)
        pushes.end(later)
        assert collect(store, NOW).objects == 10

    def test_a_collection_says_what_open_pushes_hold(
        self, store: WholeStore, pushes_of: PushesOf, clock: Clock
    ) -> None:
        pushes = pushes_of(store)
        packed = chunks(30)
        silent, busy = pushes.begin(), pushes.begin()
        pushes.put(silent, packed[:20], spare=0)
        clock.now += 100
        pushes.put(busy, packed[20:], spare=0)
        since = int(clock.now)
        assert pushes.open() == [OpenPush(silent, since - 100), OpenPush(busy, since)]
        done = collect(store, NOW)
        assert (done.objects, done.held, done.pushes) == (0, 30, pushes.open())
        assert done.held_stored >= sum(len(each.payload) for each in packed)
        pushes.end(silent)
        pushes.end(busy)
        done = collect(store, NOW)
        assert (done.objects, done.held, done.pushes) == (30, 0, [])

    def test_a_collection_that_drops_pushes_loses_nothing_that_one_has_published(
        self, store: WholeStore, pushes_of: PushesOf
    ) -> None:
        pushes = pushes_of(store)
        ident, packed = content([noise(3000, n) for n in range(40)])
        published, dropped = pushes.begin(), pushes.begin()
        for push in (published, dropped):
            pushes.put(push, [*packed, *(pack(noise(500, n)) for n in range(5))], spare=0)
        pushes.publish(published, ident, 120_000)
        rule = CollectOptions(0, drop_pushes=True)
        plan = collect(store, CollectOptions(0, dry_run=True, drop_pushes=True))
        assert (plan.objects, len(pushes.open())) == (5, 1)
        assert collect(store, rule).objects == 5
        assert pushes.open() == []
        assert store.manifest(ident) is not None
        assert here(store, [each for each in packed if each.kind is Kind.CHUNK]) == 40
        with pytest.raises(NotFoundError, match="has ended"):
            pushes.put(dropped, packed, spare=0)

    def test_a_push_dropped_by_a_collection_in_progress_publishes_nothing(
        self, store: WholeStore, pushes_of: PushesOf
    ) -> None:
        pushes = pushes_of(store)
        ident, packed = content([noise(3000, n) for n in range(40)])
        late, again = pushes.begin(), pushes.begin()
        pushes.put(late, packed, spare=0)
        pushes.publish(again, put_manifest(store, b"other", "other"), 5)
        with store.collection(window=0, drop_pushes=True) as collection:
            roots = set(collection.roots())
            with pytest.raises(NotFoundError):
                pushes.publish(late, ident, 120_000)
            again = pushes.begin()
            pushes.promise(again, Kind.CHUNK, ids_of(packed))
            pushes.put(again, packed, spare=0)
            assert ident not in roots
            dead = list(collection.dead(lambda kind, each: False))
            collection.delete([each for each in dead if each.id in ids_of(packed)])
        pushes.publish(again, ident, 120_000)
        assert here(store, packed) == 40

    def test_a_push_that_only_asks_is_alive(
        self, store: WholeStore, pushes_of: PushesOf, clock: Clock
    ) -> None:
        pushes = pushes_of(store)
        packed = chunks(5)
        push = pushes.begin()
        pushes.put(push, packed, spare=0)
        for _ in range(5):
            clock.now += SILENCE - 1
            pushes.promise(push, Kind.CHUNK, ids_of(packed))
            assert collect(store, NOW).objects == 0

    @pytest.mark.parametrize("jump", [-10 * 365 * DAY, 10 * 365 * DAY])
    def test_a_clock_that_jumps_ends_pushes_and_loses_nothing_published(
        self, store: WholeStore, pushes_of: PushesOf, clock: Clock, jump: float
    ) -> None:
        pushes = pushes_of(store)
        kept = put_manifest(store, b"kept", "kept")
        push = pushes.begin()
        ident, packed = content([noise(3000, n) for n in range(40)])
        pushes.put(push, packed, spare=0)
        clock.now += jump
        collect(store, NOW)
        with pytest.raises(NotFoundError):
            pushes.publish(push, ident, 120_000)
        assert store.manifest(kept) is not None
        assert store.manifest(ident) is None

    def test_publishing_ends_the_push(self, store: WholeStore, pushes_of: PushesOf) -> None:
        pushes = pushes_of(store)
        ident, packed = content([noise(3000, n) for n in range(40)])
        push = pushes.begin()
        pushes.put(push, packed, spare=0)
        record = pushes.publish(push, NameUpdate(NAME, ident, 0), 120_000)
        assert record is not None
        assert (record.version, record.manifest) == (1, ident)
        row = store.manifest(ident)
        assert row is not None
        assert (row.state, row.length) == (ManifestState.FULL, 120_000)
        assert collect(store, NOW).objects == 0
        with pytest.raises(NotFoundError):
            pushes.promise(push, Kind.CHUNK, ids_of(packed))

    def test_a_lost_race_leaves_the_push_open(self, store: WholeStore, pushes_of: PushesOf) -> None:
        pushes = pushes_of(store)
        put_manifest(store, b"other", NAME)
        ident, packed = content([b"a", b"b"])
        push = pushes.begin()
        pushes.put(push, packed, spare=0)
        with pytest.raises(LostRaceError):
            pushes.publish(push, NameUpdate(NAME, ident, 0), 2)
        assert store.manifest(ident) is None
        assert pushes.publish(push, ident, 2) is None
        nothing = pushes.begin()
        with pytest.raises(NoObjectError):
            pushes.publish(nothing, ManifestId(bytes(32)), 2)

    def test_one_push_too_many_ends_the_longest_silent_one(
        self, store: WholeStore, pushes_of: PushesOf, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pushes = pushes_of(store)
        monkeypatch.setattr("casync.store.push.MAX_PUSHES", 3)
        opened = []
        for _ in range(3):
            clock.now += 10
            opened.append(pushes.begin())
        clock.now += 10
        pushes.put(opened[0], chunks(1), spare=0)
        opened.append(pushes.begin())
        alive = []
        for push in opened:
            try:
                pushes.promise(push, Kind.CHUNK, [chunk_id(b"")])
                alive.append(push)
            except NotFoundError:
                continue
        assert alive == [opened[0], *opened[2:]]
