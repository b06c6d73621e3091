"""A proof finds missing objects and contradictions, a step at a time."""

from __future__ import annotations

from itertools import chain

import pytest

from casync.errors import MalformedError, UnsupportedError, UsageError
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, NodeBuilder, Run
from casync.ops.push.proof import Proof
from casync.ops.push.reachable import Part, reachable
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.contract.store_contract import noise, pack
from tests.support.small_store import content

PLAINS = [noise(100 + n, n) for n in range(3000)]


def proved(store: MemoryStore, ident: ManifestId) -> Proof:
    proof = Proof(ident, store, store.stat)
    for _ in proof.steps():
        pass
    return proof


def stored(objects: list[Verified]) -> MemoryStore:
    store = MemoryStore()
    store.commit(Batch(objects=objects))
    return store


def test_whole_content_has_nothing_missing() -> None:
    ident, packed = content(PLAINS)
    proof = proved(stored(packed), ident)
    assert proof.missing == []
    assert proof.length == sum(map(len, PLAINS))
    assert proof.checked >= len(packed)
    assert proved(MemoryStore(), ident).missing == [(Kind.MANIFEST, ident)]


@pytest.mark.parametrize("kind", list(Kind))
def test_each_missing_object_is_found(kind: Kind) -> None:
    ident, packed = content(PLAINS[:700])
    of_kind = [item for item in packed if item.kind is kind]
    for item in of_kind[:: max(len(of_kind) // 10, 1)]:
        rest = [other for other in packed if other.id != item.id]
        assert proved(stored(rest), ident).missing == [(kind, item.id)]


def test_a_proof_advances_in_steps() -> None:
    ident, packed = content(PLAINS)
    store = stored(packed)
    proof = Proof(ident, store, store.stat)
    counts = [proof.checked for _ in proof.steps()]
    assert len(counts) > 5
    assert counts == sorted(counts)


def manifest_of(root: Content) -> Verified:
    return pack(encode_manifest(Manifest("file", DEFAULT_PARAMS, root)), Kind.MANIFEST)


def test_false_lengths_are_refused() -> None:
    chunk = pack(b"four")
    alone = manifest_of(Content(0, chunk.id, 5))
    with pytest.raises(UsageError, match="is malformed"):
        proved(stored([chunk, alone]), ManifestId(alone.id))
    objects = [chunk]
    builder = NodeBuilder(lambda _, data: objects.append(pack(data, Kind.NODE)))
    builder.add(Run(chunk.id, 4, 1))
    builder.add(Run(chunk.id, 3, 1))
    listed = manifest_of(builder.finish())
    with pytest.raises(UsageError, match="is listed with"):
        proved(stored([*objects, listed]), ManifestId(listed.id))


def test_a_root_with_a_single_record_is_refused() -> None:
    chunk = pack(b"four")
    node = pack(b"CASN\1\1\1\0" + chunk.id + (4).to_bytes(8, "little"), Kind.NODE)
    manifest = manifest_of(Content(1, node.id, 4))
    store = stored([chunk, node, manifest])
    with pytest.raises(UsageError, match="single record"):
        proved(store, ManifestId(manifest.id))
    with pytest.raises(MalformedError, match="single record"):
        list(reachable(ManifestId(manifest.id), store))


def test_malformed_nodes_and_manifests_are_refused() -> None:
    node = pack(b"no node", Kind.NODE)
    manifest = manifest_of(Content(1, node.id, 100_000))
    with pytest.raises(UsageError, match="is malformed"):
        proved(stored([node, manifest]), ManifestId(manifest.id))
    nonsense = pack(b"nonsense", Kind.MANIFEST)
    with pytest.raises(UsageError):
        proved(stored([nonsense]), ManifestId(nonsense.id))
    later = pack(
        encode_manifest(Manifest("file", DEFAULT_PARAMS, Content(0, node.id, 7))).replace(
            b"\xa7version\x01", b"\xa7version\x02"
        ),
        Kind.MANIFEST,
    )
    with pytest.raises(UnsupportedError):
        proved(stored([later]), ManifestId(later.id))
    tree = pack(
        encode_manifest(Manifest("tree", DEFAULT_PARAMS, Content(0, pack(b"x").id, 1))),
        Kind.MANIFEST,
    )
    with pytest.raises(UsageError):
        proved(stored([tree, pack(b"x")]), ManifestId(tree.id))


def test_the_list_of_missing_objects_is_bounded() -> None:
    ident, packed = content(PLAINS)
    nodes = [item for item in packed if item.kind is not Kind.CHUNK]
    missing = proved(stored(nodes), ident).missing
    assert 256 <= len(missing) <= 1024
    assert {kind for kind, _ in missing} == {Kind.CHUNK}


# -- What a push walks ----------------------------------------------------------------------------


def walked(store: MemoryStore, ident: ManifestId, *part: int) -> list[tuple[Kind, ObjectId]]:
    batches = list(reachable(ident, store, Part(*part) if part else Part(1, 1)))
    assert all(1 <= len(batch.ids) <= 1024 for batch in batches)
    return [(batch.kind, each) for batch in batches for each in batch.ids]


def test_everything_is_reached_once() -> None:
    ident, packed = content(PLAINS + PLAINS[:300])
    store = stored(packed)
    found = walked(store, ident)
    assert sorted(found) == sorted({(item.kind, item.id) for item in packed})
    assert found[-1] == (Kind.MANIFEST, ident)


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
def test_parts_are_disjoint_and_together_all(shares: int) -> None:
    ident, packed = content(PLAINS[:1000])
    store = stored(packed)
    parts = [walked(store, ident, number, shares) for number in range(1, shares + 1)]
    assert sorted(chain.from_iterable(parts)) == sorted(walked(store, ident))
    assert min(len(part) for part in parts) > 1000 // shares // 2
