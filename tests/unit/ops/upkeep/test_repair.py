"""Repair replaces damaged objects with those of other stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.errors import UnreachableError
from casync.ids import Kind, ManifestId, ObjectId, chunk_id
from casync.objects.codec import Packed
from casync.objects.node import Run
from casync.ops.upkeep.repair import repair
from casync.ops.upkeep.verify import FaultKind, verify
from casync.store.base import Absence, Batch, ObjectStat, ObjectStore
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.support.damaging import DATA, PLAIN, SPOILT, put, put_content, put_nodes
from tests.support.preparing import chunks

pytestmark = pytest.mark.stores("memory", "lmdb")


class Unreachable:
    """A server that cannot be reached."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        raise UnreachableError("no answer")

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        raise UnreachableError("no answer")


def healthy() -> tuple[MemoryStore, ManifestId]:
    other = MemoryStore()
    return other, put(other, DATA)


CHUNK = (Kind.CHUNK, chunk_id(PLAIN))


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_damaged_chunk_is_replaced(store: ObjectStore, spoilt: str) -> None:
    store.commit(Batch([SPOILT[spoilt]]))
    manifest = put(store, DATA)
    other, _ = healthy()
    planned = repair(store, [other], dry_run=True)
    assert (planned.mended, planned.faults) == ([CHUNK], [])
    assert verify(store).faults != []
    for chosen in (None, [manifest]):
        done = repair(store, [other], chosen)
        assert done.faults == []
        assert done.mended == ([] if chosen else [CHUNK])
    assert planned.stored == next(
        stat.stored for stat in store.stat(Kind.CHUNK, [CHUNK[1]]) if stat is not None
    )
    assert verify(store).faults == []


def test_objects_below_a_lost_node_are_mended_too(store: ObjectStore) -> None:
    """Nodes on two levels and a chunk are lost; each reveals only the next."""
    runs = [Run(chunk_id(plain), len(plain), 1) for plain in chunks(DATA)] * 200
    other = MemoryStore()
    whole = put_nodes(other, runs, lambda _: False)
    put(other, DATA)
    content = put_nodes(store, runs, lambda number: number in (0, 3))
    assert content == whole
    assert content.level > 1
    kept = [plain for plain in chunks(DATA) if plain != PLAIN]
    for plain in kept:
        put(store, plain)
    manifest = put_content(store, content)
    put_content(other, content)
    done = repair(store, [other], [manifest])
    assert done.faults == []
    assert CHUNK in done.mended
    assert {kind for kind, _ in done.mended} == {Kind.CHUNK, Kind.NODE}
    assert verify(store).faults == []


def test_damage_that_no_server_can_repair_stays(store: ObjectStore) -> None:
    store.commit(Batch([SPOILT["other bytes"]]))
    put(store, DATA)
    lying = MemoryStore()
    lying.commit(Batch([SPOILT["no frame"]]))
    for servers in ([MemoryStore()], [lying], [MemoryStore(), lying]):
        done = repair(store, servers)
        assert done.mended == []
        assert [(fault.kind, fault.id, fault.problem) for fault in done.faults] == [
            (*CHUNK, FaultKind.DAMAGED)
        ]


def test_servers_that_fail_are_skipped(store: ObjectStore) -> None:
    store.commit(Batch([SPOILT["too short"]]))
    put(store, DATA)
    other, _ = healthy()
    with pytest.raises(UnreachableError):
        repair(store, [MemoryStore(), Unreachable()])
    assert repair(store, [Unreachable(), other]).mended == [CHUNK]
    assert repair(store, [Unreachable()]).faults == []


def test_space_of_replaced_records_is_counted_as_dead(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        store.commit(Batch([SPOILT["other bytes"]]))
        put(store, DATA)
        before = store.usage()
        other, _ = healthy()
        repair(store, [other])
        after = store.usage()
        stored = sum(use.stored for use in after.objects.values())
        count = sum(use.number for use in after.objects.values())
        assert after.used > before.used
        assert after.live - before.live == stored - sum(
            use.stored for use in before.objects.values()
        )
        assert count == sum(use.number for use in before.objects.values())
