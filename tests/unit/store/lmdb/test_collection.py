"""Collections of the store on disk, and writers that arrive at the worst moment."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from casync.errors import DamagedStoreError, WriteError
from casync.ids import Kind, ObjectId
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Absence, Batch, ManifestState
from casync.store.lmdb import writer_session as session
from casync.store.lmdb.byte_lock import ByteLocks
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.collection_contract import chunks, here, unmarked
from tests.contract.store_contract import noise, put_manifest
from tests.support.small_store import content

pytestmark = pytest.mark.stores("lmdb")

NOW = CollectOptions(window=0)
FULL = ManifestState.FULL


def reopened(path: Path) -> LmdbStore:
    """The store, without the promises of earlier sessions."""
    return LmdbStore.open(path)


def check_counts(store: LmdbStore) -> None:
    """Checks the counts in `segment_use` against the index."""
    usage = store.usage()
    records = sum(use.stored + 56 * use.number for use in usage.objects.values())
    assert 0 <= usage.live - records < 1000 + usage.live // 100  # names are counted, too


def test_freed_space_is_reused(path: Path, store: LmdbStore) -> None:
    put_manifest(store, b"kept")
    store.close()
    sizes = []
    for round_ in range(12):
        with reopened(path) as again:
            again.commit(Batch(objects=chunks(400, round_)))
        with reopened(path) as again:
            assert collect(again, NOW).objects == 400
            sizes.append(again.usage().file)
    assert sizes[-1] == sizes[5] <= sizes[0] * 1.5


def test_live_records_move_out_of_mostly_dead_segments(path: Path, store: LmdbStore) -> None:
    plains = [noise(20_000, n) for n in range(300)]
    ident, packed = content(plains)
    loose = chunks(1200, 7)
    mixed = [*packed, *loose]
    random.Random(3).shuffle(mixed)
    name = parse_name("disk")
    store.commit(Batch(objects=mixed[:700]))
    store.commit(
        Batch(
            objects=mixed[700:],
            manifests=[(ident, FULL, sum(map(len, plains)))],
            names=[NameUpdate(name, ident)],
        )
    )
    segments = store.usage().segments
    store.close()
    with reopened(path) as again:
        done = collect(again, NOW)
        assert done.objects == 1200
        assert done.moved > 3_000_000
        assert again.usage().segments < segments / 2
        assert here(again, packed) == [True] * len(packed)
        check_counts(again)
        again.check()
        assert collect(again, NOW).moved == 0
    assert reindex(path).names == 1
    with reopened(path) as again:
        assert here(again, packed) == [True] * len(packed)


def test_a_segment_with_damage_stays_where_it_is(path: Path, store: LmdbStore) -> None:
    living, dead = chunks(3, 1), chunks(45, 2)
    ident, packed = content([noise(20_000, 10_000 + n) for n in range(3)])
    store.commit(Batch(objects=[*dead, *packed], manifests=[(ident, FULL, 60_000)]))
    store.commit(Batch(objects=chunks(60, 3)))
    store.close()
    data = (path / "data.mdb").read_bytes()
    hurt = b"damaged!" + living[1].payload[8:]
    (path / "data.mdb").write_bytes(data.replace(living[1].payload, hurt))
    with reopened(path) as again:
        assert collect(again, NOW).moved == 0
        assert list(again.get(Kind.CHUNK, [living[1].id])) == [Absence.DAMAGED]
        assert here(again, [living[0], living[2]]) == [True, True]


def test_nothing_is_deleted_when_a_root_cannot_be_read(path: Path, store: LmdbStore) -> None:
    plains = [noise(3000, n) for n in range(100)]
    ident, packed = content(plains)
    loose = chunks(5, 1)
    length = sum(map(len, plains))
    store.commit(Batch(objects=[*packed, *loose], manifests=[(ident, FULL, length)]))
    store.close()
    node = next(item for item in packed if item.kind is Kind.NODE)
    data = (path / "data.mdb").read_bytes()
    at = data.index(node.payload)
    (path / "data.mdb").write_bytes(data[:at] + b"damaged!" + data[at + 8 :])
    with reopened(path) as again:
        with pytest.raises(DamagedStoreError, match="cannot read everything below"):
            collect(again, NOW)
        assert here(again, loose) == [True] * 5


# -- Writers --------------------------------------------------------------------------------------


def test_a_promise_about_what_is_older_holds_everything(path: Path, store: LmdbStore) -> None:
    loose = chunks(5, 1)
    store.commit(Batch(objects=loose))
    store.close()
    with reopened(path) as again, again.collection(window=0) as collection:
        dead = list(collection.dead(unmarked))
        assert again.known(Kind.CHUNK, [loose[0].id]) == [True]
        assert collection.delete(dead).objects == 0
        again.commit(Batch(manifests=[], remember=[]))  # renews what was promised
        assert collection.delete(dead).objects == 4
        assert here(again, loose) == [True] + [False] * 4


def test_a_killed_writer_holds_nothing(path: Path, store: LmdbStore) -> None:
    loose = chunks(5, 1)
    store.commit(Batch(objects=loose))
    assert collect(store, NOW).objects == 0
    store._session.close()  # as the kernel does for a killed process
    assert collect(store, NOW).objects == 5


def test_promises_are_renewed_by_the_commit_that_publishes(path: Path, store: LmdbStore) -> None:
    ident, packed = content([noise(20_000, n) for n in range(3)])
    store.commit(Batch(objects=packed))
    store.close()
    with reopened(path) as first:
        collect(first, CollectOptions(0, dry_run=True))
        with first.collection(window=0):
            pass  # a generation that sweeps nothing
    with reopened(path) as writer, writer.collection(window=0) as collection:
        dead = list(collection.dead(unmarked))
        for item in packed:
            assert writer.known(item.kind, [item.id]) == [True]
        writer.commit(Batch(manifests=[(ident, FULL, 60_000)]))
        writer._session.close()
        assert collection.delete(dead).objects == 0
        assert here(writer, packed) == [True] * len(packed)


def test_many_promises_are_renewed_without_a_commit(
    path: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the publishing commit dirties a page of the index for each of them."""
    monkeypatch.setattr(session, "_MOST_PROMISES", 3)
    loose = chunks(5, 1)
    store.commit(Batch(objects=loose))
    store.close()
    with reopened(path) as writer, writer.collection(window=0) as collection:
        dead = list(collection.dead(unmarked))
        assert len(dead) == 5
        writer.known(Kind.CHUNK, [item.id for item in loose[:3]])
        assert collection.delete(dead).objects == 0  # everything is held
        writer.known(Kind.CHUNK, [loose[3].id])
        assert collection.delete(dead).objects == 1  # the others are of the current generation
        assert here(writer, loose) == [True] * 4 + [False]


def test_what_is_found_while_everything_is_held_is_promised_without_another_look(
    path: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = chunks(5, 1)
    store.commit(Batch(objects=loose))
    store.close()
    with reopened(path) as writer, writer.collection(window=0) as collection:
        dead = list(collection.dead(unmarked))
        writer.known(Kind.CHUNK, [loose[0].id])
        looks = []
        objects = writer._session._objects
        generations = objects.generations

        def look(kind: Kind, ids: Sequence[ObjectId]) -> dict[bytes, int]:
            looks.append(ids)
            return generations(kind, ids)

        monkeypatch.setattr(objects, "generations", look)
        assert writer.known(Kind.CHUNK, [loose[1].id]) == [True]
        assert looks == [[loose[1].id]]
        writer.commit(Batch())
        assert collection.delete(dead).objects == 3
        assert here(writer, loose) == [True, True, False, False, False]


def test_what_is_found_before_a_hold_ends_is_looked_for_again(
    path: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = chunks(5, 1)
    store.commit(Batch(objects=loose))
    store.close()
    with reopened(path) as writer, writer.collection(window=0) as collection:
        dead = list(collection.dead(unmarked))
        writer.known(Kind.CHUNK, [loose[0].id])
        objects = writer._session._objects
        generations = objects.generations

        def too_early(kind: Kind, ids: Sequence[ObjectId]) -> dict[bytes, int]:
            found = generations(kind, ids)
            monkeypatch.undo()
            writer.commit(Batch())  # ends the hold
            assert collection.delete([d for d in dead if d.id == loose[1].id]).objects == 1
            writer.known(Kind.CHUNK, [loose[2].id])  # begins another one
            return found

        monkeypatch.setattr(objects, "generations", too_early)
        assert writer.known(Kind.CHUNK, [loose[1].id]) == [False]


def test_a_dry_run_changes_nothing(path: Path, store: LmdbStore) -> None:
    put_manifest(store, b"gone")
    store.close()
    before = (path / "data.mdb").read_bytes()
    with LmdbStore.open(path, read_only=True) as reader:
        collect(reader, CollectOptions(0, dry_run=True))
        with reader.collection(window=0, dry_run=True) as collection, pytest.raises(WriteError):
            collection.delete([])
    assert (path / "data.mdb").read_bytes() == before


# -- Locks ----------------------------------------------------------------------------------------


def test_a_byte_is_held_by_one_and_freed_by_closing(tmp_path: Path) -> None:
    with closing(ByteLocks(tmp_path)) as one, closing(ByteLocks(tmp_path)) as two:
        assert one.take(7)
        assert one.take(7)
        assert two.take(8)
        assert not two.take(7)
        assert two.is_taken(7)
        assert not one.is_taken(7)
        assert not one.is_taken(9)
        one.close()
        assert not two.is_taken(7)
        assert two.take(7)
