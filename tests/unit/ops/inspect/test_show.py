"""What `show` counts, against counting by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from casync.errors import DamagedObjectError, IntegrityError, MalformedError, NoObjectError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId, chunk_id, zero_chunk_id
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed, Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.ops.inspect import show as module
from casync.ops.inspect.show import show
from casync.store.base import Absence, Batch
from casync.store.memory import MemoryStore

PARAMS = ChunkerParams(256, 1024, 4096)
ZERO = Run(zero_chunk_id(4096), 4096, 1)


def chunk(number: int, length: int = 1000) -> Run:
    """A chunk that only exists as an id and a length, like most of a large image."""
    return Run(chunk_id(number.to_bytes(8, "big")), length, 1)


def build(store: MemoryStore, runs: Sequence[Run]) -> ManifestId:
    """Puts nodes and a manifest for `runs` into the store, without their chunks."""
    packer = Packer()
    batch = Batch()

    def emit(_: NodeId, data: bytes) -> None:
        batch.objects.append(packer.pack_new(Kind.NODE, data))

    builder = NodeBuilder(emit)
    for run in runs:
        builder.add(run)
    return put_manifest(store, builder.finish(), batch)


def put_manifest(store: MemoryStore, content: Content, batch: Batch | None = None) -> ManifestId:
    batch = batch or Batch()
    data = encode_manifest(Manifest("file", PARAMS, content))
    root = Packer().pack_new(Kind.MANIFEST, data)
    batch.objects.append(root)
    store.commit(batch)
    return ManifestId(root.id)


class CountingStore(MemoryStore):
    """Counts how often each object is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[ObjectId] = Counter()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        self.asked.update(ids)
        return super().get(kind, ids)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 700)), min_size=2, max_size=40))
def test_runs_are_counted_as_by_hand(picks: list[tuple[int, int]]) -> None:
    store = MemoryStore()
    runs = [replace(chunk(number, 1000 + number), times=times) for number, times in picks]
    found = show(build(store, runs), store)
    sizes: Counter[int] = Counter()
    for run in runs:
        sizes[1 << (run.length.bit_length() - 1)] += run.times
    assert found.length == sum(run.length * run.times for run in runs)
    assert found.chunks == sum(run.times for run in runs)
    assert found.distinct == len({run.id for run in runs})
    assert found.histogram == sizes
    assert found.missing == found.distinct
    assert found.nodes == len(list(store.objects(Kind.NODE)))


def test_several_passes_count_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    pick = random.Random(7)
    ident = build(store, [chunk(pick.randrange(5000)) for _ in range(20000)])
    once = show(ident, store)
    monkeypatch.setattr(module, "_SEEN_IDS", 1000)
    assert show(ident, store) == once


def test_stored_bytes_are_those_of_each_object_once() -> None:
    store = MemoryStore()
    packer = Packer()
    plain = [random.Random(n).randbytes(3000) for n in range(3)] + [b"a" * 3000]
    packed = [packer.pack(Kind.CHUNK, chunk_id(data), data) for data in plain]
    store.commit(Batch(objects=packed))
    ident = build(store, [Run(ChunkId(p.id), p.length, 2) for p in packed])
    found = show(ident, store)
    objects = [(kind, ident) for kind in Kind for ident in store.objects(kind)]
    total = sum(stat.stored for kind, i in objects for stat in store.stat(kind, [i]) if stat)
    assert (found.stored, found.missing) == (total, 0)


def test_zeros_are_counted_whole_and_at_the_end() -> None:
    store = MemoryStore()
    tail = Run(zero_chunk_id(100), 100, 1)
    found = show(build(store, [chunk(1), replace(ZERO, times=10), tail]), store)
    assert found.zero == 10 * 4096 + 100


def test_content_of_one_chunk() -> None:
    store = MemoryStore()
    data = b"hello"
    packed = Packer().pack_new(Kind.CHUNK, data)
    ident = put_manifest(store, Content(0, packed.id, len(data)), Batch(objects=[packed]))
    found = show(ident, store)
    assert (found.chunks, found.distinct, found.nodes, found.zero) == (1, 1, 0, 0)
    assert (found.histogram, found.missing) == ({4: 1}, 0)


def test_content_that_is_one_short_chunk_of_zeros() -> None:
    store = MemoryStore()
    found = show(put_manifest(store, Content(0, zero_chunk_id(100), 100)), store)
    assert (found.zero, found.missing) == (100, 1)


def test_empty_content() -> None:
    store = MemoryStore()
    found = show(put_manifest(store, EMPTY), store)
    assert (found.length, found.chunks, found.distinct, found.histogram) == (0, 0, 0, {})
    assert (found.nodes, found.zero, found.missing) == (0, 0, 0)


def test_a_hole_of_ten_terabytes_is_a_handful_of_nodes() -> None:
    store = CountingStore()
    count = 10 << 40 >> 12
    found = show(build(store, [chunk(1), replace(ZERO, times=count), chunk(2)]), store)
    assert found.zero == 10 << 40
    assert found.chunks == count + 2
    assert found.distinct == 3
    assert store.asked.total() < 200


def test_a_graph_that_unfolds_exponentially_is_counted_by_its_nodes() -> None:
    store = CountingStore()
    packer, batch = Packer(), Batch()
    left, right = chunk(1), chunk(2)
    length, level = 0, 0
    # Two nodes a level, each listing both of the level below four times: 8**8 chunks.
    below: list[tuple[bytes, int]] = [(left.id, left.length), (right.id, right.length)]
    for level in range(1, 9):
        nodes: list[tuple[bytes, int]] = []
        for first, second in ((0, 1), (1, 0)):
            records = [below[first], below[second]] * 4
            data = encode(level, records)
            packed = packer.pack_new(Kind.NODE, data)
            batch.objects.append(packed)
            length = sum(size for _, size in records)
            nodes.append((packed.id, length))
        below = nodes
    ident = put_manifest(store, Content(level, below[0][0], length), batch)
    found = show(ident, store)
    assert found.chunks == 8**8
    assert found.distinct == 2
    assert found.nodes == 15
    assert store.asked.total() < 100


def encode(level: int, records: list[tuple[bytes, int]]) -> bytes:
    """A node as docs/FORMAT.md section 4 lays it out."""
    header = b"CASN" + bytes([1, level]) + len(records).to_bytes(2, "little")
    return header + b"".join(ident + size.to_bytes(8, "little") for ident, size in records)


def test_one_node_with_two_lengths_is_refused() -> None:
    store = MemoryStore()
    packer = Packer()
    low = packer.pack_new(Kind.NODE, encode(1, [(chunk(1).id, 5), (chunk(2).id, 5)]))
    top = packer.pack_new(Kind.NODE, encode(2, [(low.id, 10), (low.id, 11)]))
    ident = put_manifest(store, Content(2, top.id, 21), Batch(objects=[low, top]))
    with pytest.raises(MalformedError):
        show(ident, store)


def test_a_missing_manifest_and_a_missing_node_are_named() -> None:
    store = MemoryStore()
    with pytest.raises(NoObjectError, match="manifest 0000"):
        show(ManifestId(bytes(32)), store)
    ident = put_manifest(store, Content(1, b"n" * 32, 10))
    with pytest.raises(NoObjectError, match="node 6e6e"):
        show(ident, store)


class DamagedNodes(MemoryStore):
    """Every node reads as damaged."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            yield Absence.DAMAGED if kind is Kind.NODE else answer


class WrongNodes(MemoryStore):
    """Every node holds other bytes than its id names."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            if kind is Kind.NODE and isinstance(answer, Packed):
                yield Packer().pack(Kind.NODE, answer.id, b"other bytes")
            else:
                yield answer


def test_damage_is_an_error() -> None:
    for store, error in [(DamagedNodes(), DamagedObjectError), (WrongNodes(), IntegrityError)]:
        ident = build(store, [chunk(1), chunk(2)])
        with pytest.raises(error):
            show(ident, store)
