"""Verify: sound stores pass, a fault names what it affects, options do what they say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.errors import UsageError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId, chunk_id
from casync.limits import MIB
from casync.objects.codec import Packed
from casync.ops.upkeep.verify import FaultKind, VerifyOptions, verify
from casync.store.base import Batch, ManifestState, ObjectStore
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.support.damaging import DATA, PLAIN, SPOILT, put
from tests.support.preparing import Counter, chunks, noise

pytestmark = pytest.mark.stores("memory", "lmdb")

QUICK = VerifyOptions(quick=True)
FULL, OUTLINE = ManifestState.FULL, ManifestState.OUTLINE


def test_a_sound_store_is_sound(store: ObjectStore) -> None:
    first = put(store, DATA, "disk")
    put(store, noise(100_000, 1) + DATA, "disk")
    put(store, bytes(5 * MIB))
    put(store, b"")
    put(store, b"x")
    progress = Counter()
    report = verify(store, progress=progress)
    objects = {kind: list(store.objects(kind)) for kind in Kind}
    assert report.faults == []
    assert report.manifests == 5
    assert report.names == 2
    assert report.nodes == len(objects[Kind.NODE])
    assert report.objects == sum(map(len, objects.values()))
    assert report.length == progress.done
    one = verify(store, [first, first])
    assert one.faults == []
    assert (one.manifests, one.names) == (1, 0)
    assert one.objects == len(set(chunks(DATA)))
    assert one.length == sum(map(len, set(chunks(DATA))))


def test_an_empty_store_is_sound(store: ObjectStore) -> None:
    assert verify(store)[:6] == (0, 0, 0, 0, 0, [])


def test_quick_reads_no_chunks(store: ObjectStore) -> None:
    ident = put(store, DATA, "disk")
    for chosen in (None, [ident]):
        report = verify(store, chosen, QUICK)
        assert report.faults == []
        assert report.manifests == 1
        assert (report.objects, report.length) == (0, 0)
        assert report.nodes == sum(1 for _ in store.objects(Kind.NODE))


@pytest.mark.parametrize("workers", [0, 1, 7])
def test_any_number_of_workers_reads_everything(store: ObjectStore, workers: int) -> None:
    put(store, DATA)
    report = verify(store, None, VerifyOptions(workers=workers))
    assert report.objects == sum(1 for kind in Kind for _ in store.objects(kind))


# -- Faults that no commit can make --------------------------------------------------------------


class Holed(MemoryStore):
    """A store that loses objects on request."""

    def lose(self, kind: Kind, ident: ObjectId) -> None:
        del self._tables.objects[kind, ident]

    def lose_row(self, ident: ManifestId) -> None:
        del self._tables.manifests[ident]


def test_a_missing_manifest_is_named() -> None:
    store = Holed()
    ident = put(store, DATA, "disk")
    store.lose(Kind.MANIFEST, ident)
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.MANIFEST, ident, FaultKind.MISSING)
    assert (fault.manifests, fault.names) == ((ident,), ("disk@1",))


def test_a_name_that_points_to_nothing_is_reported() -> None:
    store = Holed()
    ident = put(store, DATA, "disk")
    put(store, DATA[1:], "disk")
    store.lose_row(ident)
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.MANIFEST, ident, FaultKind.MISSING)
    assert "disk@1" in fault.detail
    assert (fault.manifests, fault.names) == ((), ("disk@1",))


def test_every_fault_is_named_and_in_order() -> None:
    store = Holed()
    idents = [put(store, DATA[start:], f"disk/{start}") for start in (0, 100, 200)]
    lost = {chunk_id(chunk) for chunk in chunks(DATA)[::5]}
    for ident in lost:
        store.lose(Kind.CHUNK, ident)
    faults = verify(store).faults
    assert [fault.id for fault in faults] == sorted(lost)
    for fault in faults:
        assert fault.problem is FaultKind.MISSING
        needing = [
            i
            for i, start in zip(idents, (0, 100, 200), strict=True)
            if fault.id in {chunk_id(chunk) for chunk in chunks(DATA[start:])}
        ]
        assert fault.manifests == tuple(sorted(needing))


# -- Rot on the disk -------------------------------------------------------------------------------


def flip(path: Path, payload: bytes) -> None:
    """Flips a bit of a payload in the file of the store."""
    file = path / "data.mdb"
    data = bytearray(file.read_bytes())
    place = data.find(payload)
    assert place >= 0
    while place >= 0:  # a segment that was rewritten has left a copy
        data[place + len(payload) // 2] ^= 4
        place = data.find(payload, place)
    file.write_bytes(data)


@pytest.mark.parametrize("kind", list(Kind))
def test_rot_is_reported_with_the_manifests_and_names_that_it_affects(
    tmp_path: Path, kind: Kind
) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        ident = put(store, DATA, "disk")
        put(store, noise(100_000, 9), "other")
        targets: dict[Kind, ObjectId] = {
            Kind.CHUNK: ChunkId(chunk_id(PLAIN)),
            Kind.NODE: NodeId(next(_nodes_with_it(store))),
            Kind.MANIFEST: ident,
        }
        target = targets[kind]
        (packed,) = store.get(kind, [target])
        assert isinstance(packed, Packed)
    flip(path, bytes(packed.payload))
    with LmdbStore.open(path, read_only=True) as store:
        (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (kind, target, FaultKind.DAMAGED)
    assert (fault.manifests, fault.names) == ((ident,), ("disk@1",))


def _nodes_with_it(store: ObjectStore) -> Iterator[ObjectId]:
    for node in store.objects(Kind.NODE):
        (packed,) = store.get(Kind.NODE, [node])
        assert isinstance(packed, Packed)
        if bytes(chunk_id(PLAIN)) in packed.payload:
            yield node


# -- Options, samples, stops -----------------------------------------------------------------------


def test_a_sample_is_chosen_by_its_seed(store: ObjectStore) -> None:
    put(store, DATA)
    everything = verify(store).objects
    lengths = {
        seed: verify(store, None, VerifyOptions(sample=40, seed=seed)).length for seed in range(5)
    }
    assert len(set(lengths.values())) > 1
    assert lengths[3] == verify(store, None, VerifyOptions(sample=40, seed=3)).length
    counted = [
        verify(store, None, VerifyOptions(sample=40, seed=seed)).objects for seed in range(30)
    ]
    assert 0.3 * everything < sum(counted) / 30 < 0.5 * everything


def test_a_sample_finds_a_fault_only_if_it_reads_it(store: ObjectStore) -> None:
    store.commit(Batch([SPOILT["other bytes"]]))
    ident = put(store, DATA)
    for chosen in (None, [ident]):
        found = [
            len(verify(store, chosen, VerifyOptions(sample=50, seed=seed)).faults)
            for seed in range(40)
        ]
        assert set(found) == {0, 1}


@pytest.mark.parametrize(
    "options",
    [
        {"sample": 0.0},
        {"sample": -1.0},
        {"sample": 101.0},
        {"sample": float("nan")},
        {"workers": -1},
    ],
)
def test_impossible_options_are_usage_errors(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        verify(MemoryStore(), None, VerifyOptions(**options))  # type: ignore[arg-type]


def test_a_stop_leaves_no_thread(store: ObjectStore) -> None:
    class Stopped(Counter):
        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    put(store, DATA)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        verify(store, progress=Stopped())
    assert set(threading.enumerate()) <= before
