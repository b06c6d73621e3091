"""The contract of stores whose objects can be collected, with writers at the same time.

A test module derives from `CollectionContract` and provides `clock`, `store` and `reopen`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from casync.errors import LockedError, WriteError
from casync.fs.identity import FileIdentity
from casync.ids import Kind, ObjectId
from casync.names.name import parse_name, parse_ref
from casync.objects.codec import Packed, Verified
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content, NodeBuilder
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Absence, Batch, ManifestState, RememberedFile
from casync.store.collectable import CollectableStore, Dead
from casync.store.proved import ProvedReader
from tests.contract.store_contract import noise, pack, put_manifest
from tests.contract.whole_store import DAY, Clock, Reopen, WholeStore
from tests.support.small_store import content

NOW = CollectOptions(window=0)
DRY_RUN = CollectOptions(window=0, dry_run=True)


def here(store: CollectableStore, packed: Sequence[Verified]) -> list[bool]:
    answers = [next(store.get(item.kind, [item.id])) for item in packed]
    assert Absence.DAMAGED not in answers
    return [isinstance(answer, Packed) for answer in answers]


def chunks(count: int, seed: int, size: int = 20_000) -> list[Verified]:
    return [pack(noise(size, seed * 10_000 + n)) for n in range(count)]


def unmarked(kind: Kind, ident: ObjectId) -> bool:
    return False


class CollectionContract:
    def test_deletes_unreachable_objects(self, store: WholeStore, reopen: Reopen) -> None:
        kept = put_manifest(store, b"kept", "disk")
        loose = chunks(200, 1)
        store.commit(Batch(objects=loose))
        store = reopen()
        seen: list[Dead] = []
        planned = collect(store, DRY_RUN, tell=seen.append)
        assert here(store, loose) == [True] * 200
        told: list[Dead] = []
        done = collect(store, NOW, tell=told.append)
        assert sorted(seen) == sorted(told)
        assert {dead.id for dead in told} == {item.id for item in loose}
        assert planned[:5] == done[:5]
        assert done.objects == 200
        assert here(store, loose) == [False] * 200
        assert [row.id for row in store.manifests()] == [kept]
        assert store.resolve(parse_ref("disk")) == kept
        assert collect(store, NOW).objects == 0

    def test_dead_objects_come_in_the_order_of_kinds_and_ids(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        _, packed = content([noise(3000, n) for n in range(300)])
        store.commit(Batch(objects=packed))
        with reopen().collection(window=0, dry_run=True) as collection:
            dead = [(each.kind, each.id) for each in collection.dead(unmarked)]
        order = [Kind.MANIFEST, Kind.NODE, Kind.CHUNK]
        assert dead == sorted(
            {(item.kind, item.id) for item in packed}, key=lambda key: (order.index(key[0]), key[1])
        )

    def test_a_dry_run_changes_nothing(self, store: WholeStore) -> None:
        put_manifest(store, b"gone", "disk")
        store.remove([parse_ref("disk")])
        removed = store.removed()
        assert collect(store, DRY_RUN)[:3] == (0, 2, 2)
        with store.collection(window=0, dry_run=True) as collection, pytest.raises(WriteError):
            collection.delete([])
        assert store.removed() == removed

    def test_there_is_one_collection_at_a_time(self, store: WholeStore) -> None:
        with store.collection(window=0):
            with pytest.raises(LockedError):
                collect(store, NOW)
            assert collect(store, DRY_RUN).objects == 0
        assert collect(store, NOW).objects == 0

    def test_objects_of_a_writer_stay_while_it_lives(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        loose = chunks(5, 1)
        store.commit(Batch(objects=loose))
        assert collect(store, NOW).objects == 0
        assert here(store, loose) == [True] * 5
        assert collect(reopen(), NOW).objects == 5

    def test_a_promise_between_mark_and_sweep_is_kept(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        ident, packed = content([noise(20_000, n) for n in range(3)])
        store.commit(Batch(objects=packed))
        store = reopen()
        with store.collection(window=0) as collection:
            dead = list(collection.dead(unmarked))
            assert {each.id for each in dead} == {item.id for item in packed}
            wanted = [item.id for item in packed if item.kind is Kind.CHUNK]
            assert store.known(Kind.CHUNK, wanted[:2]) == [True, True]
            collection.delete(dead)
            assert all(here(store, [item for item in packed if item.id in wanted[:2]]))
            rest = [item for item in packed if item.id not in wanted[:2]]
            store.commit(Batch(objects=rest, manifests=[(ident, ManifestState.FULL, 60_000)]))
            assert collection.delete(dead).objects == 0  # all of them are wanted again
        store = reopen()
        assert collect(store, NOW).objects == 0
        assert here(store, packed) == [True] * len(packed)

    def test_deleted_objects_are_not_promised(self, store: WholeStore, reopen: Reopen) -> None:
        loose = chunks(20, 1)
        store.commit(Batch(objects=loose))
        ids = [item.id for item in loose]
        store = reopen()
        with store.collection(window=0) as collection:
            dead = list(collection.dead(unmarked))
            collection.delete(dead[:10])
            gone = {each.id for each in dead[:10]}
            assert store.known(Kind.CHUNK, ids) == [ident not in gone for ident in ids]
            collection.delete(dead[10:])
            assert store.known(Kind.CHUNK, ids) == [ident not in gone for ident in ids]

    def test_the_trash_keeps_for_its_window_and_two_rounds(
        self, store: WholeStore, clock: Clock
    ) -> None:
        def collected(options: CollectOptions) -> tuple[int, int]:
            done = collect(store, options)
            return done.objects, done.emptied

        ident = put_manifest(store, b"1", "disk")
        store.remove([parse_ref("disk")])
        assert collected(CollectOptions()) == (0, 0)
        clock.now += DAY + 1  # but it is the first round that counts
        store.restore([parse_ref("disk")])
        store.remove([parse_ref("disk")])
        clock.now += DAY + 1
        assert collected(CollectOptions()) == (0, 0)
        assert collected(CollectOptions(window=2 * DAY)) == (0, 0)
        assert [each.manifest for each in store.removed()] == [ident]
        assert collected(CollectOptions()) == (2, 2)  # chunk and manifest; both rows
        assert store.removed() == []
        assert put_manifest(store, b"2", "disk")
        assert [record.version for record in store.history(parse_name("disk"))] == [2]

    def test_content_restored_during_a_collection_stays(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        ident = put_manifest(store, b"1", "disk")
        store.remove([parse_ref("disk")])
        with store.collection(window=DAY) as collection:
            assert collection.roots() == [ident]
            store.restore([parse_ref("disk")])
        store = reopen()
        assert collect(store, NOW).objects == 0
        assert store.resolve(parse_ref("disk")) == ident

    def test_outlines_stay_while_a_file_needs_them(self, store: WholeStore, reopen: Reopen) -> None:
        one = put_manifest(store, b"one", state=ManifestState.OUTLINE)
        put_manifest(store, b"two", state=ManifestState.OUTLINE)
        file = RememberedFile(b"/file", FileIdentity(1, 2, 3, 4, 5), one, True)
        store.commit(Batch(remember=[file]))
        store = reopen()
        assert collect(store, NOW).objects == 1
        assert store.manifest(one) is not None
        store.commit(Batch(forget=[b"/file"]))
        assert collect(store, NOW).objects == 1
        assert store.manifest(one) is None

    def test_a_file_is_forgotten_with_its_manifest(self, store: WholeStore) -> None:
        ident = put_manifest(store, b"one", "disk")
        file = RememberedFile(b"/file", FileIdentity(1, 2, 3, 4, 5), ident, True)
        store.commit(Batch(remember=[file]))
        store.remove([parse_ref("disk")])
        assert store.recall(b"/file") == file
        collect(store, NOW)
        assert store.recall(b"/file") is None

    # -- Member indexes ---------------------------------------------------------------------------

    def test_a_member_index_stays_as_long_as_its_archive(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        archive = put_manifest(store, b"archive", "shard")
        manifest = decode_manifest(ProvedReader(store).one(Kind.MANIFEST, archive))
        ident = manifest.content.id
        parts = chunks(3, 7)
        records = [(item.id, item.length) for item in parts]
        nodes: list[Verified] = []
        builder = NodeBuilder(lambda _, data: nodes.append(pack(data, Kind.NODE)))
        builder.extend(records)
        index = builder.finish()
        store.commit(Batch(objects=parts))
        batch = Batch(objects=nodes, member_indexes=[(ident, index), (pack(b"no").id, index)])
        store.commit(batch)
        assert store.member_index(ident) == index
        store = reopen()
        with store.collection(window=0, dry_run=True) as collection, pytest.raises(WriteError):
            collection.drop_indexes([ident])
        assert collect(store, DRY_RUN).objects == 0
        assert store.member_index(pack(b"no").id) == index
        assert collect(store, NOW).objects == 0
        assert here(store, [*parts, *nodes]) == [True] * 4
        assert store.member_index(ident) == index
        assert store.member_index(pack(b"no").id) is None
        store.remove([parse_ref("shard")])
        assert collect(reopen(), NOW).objects == 6
        assert reopen().member_index(ident) is None

    def test_unprotected_objects_do_not_hold_up_collections(self, store: WholeStore) -> None:
        store.commit(Batch(objects=chunks(3, 8), unprotected=True))
        store.commit(Batch(objects=chunks(3, 9), unprotected=True))
        assert collect(store, NOW).objects == 6

    def test_a_member_index_that_cannot_be_read_is_dropped(
        self, store: WholeStore, reopen: Reopen
    ) -> None:
        archive = put_manifest(store, b"archive", "shard")
        manifest = decode_manifest(ProvedReader(store).one(Kind.MANIFEST, archive))
        missing = Content(1, pack(b"missing").id, 50_000)
        store.commit(Batch(member_indexes=[(manifest.content.id, missing)]))
        assert collect(reopen(), NOW).objects == 0
        store = reopen()
        assert store.member_index(manifest.content.id) is None
        assert store.resolve(parse_ref("shard")) == archive
