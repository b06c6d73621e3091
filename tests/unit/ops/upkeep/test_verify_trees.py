"""Upkeep treats everything below a folder as below its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId, chunk_id
from casync.objects.codec import Packed, Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content
from casync.objects.tree import File, Folder
from casync.ops.upkeep.verify import FaultKind, VerifyOptions, verify
from casync.store.base import Absence, Batch, ManifestState, ObjectStat
from casync.store.lmdb.completeness import Completeness
from casync.store.memory import MemoryStore
from tests.support.preparing import PARAMS, noise
from tests.support.tree_worlds import manifest_of, prepared, tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "in" / "side").mkdir(parents=True)
    (root / "in" / "side" / "small").write_bytes(b"small")
    (root / "in" / "large").write_bytes(noise(100_000))
    (root / "empty").touch()
    return root


class Holed(MemoryStore):
    """A store that lost an object after it was put."""

    lost: ObjectId | None = None

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for ident, answer in zip(ids, super().get(kind, ids), strict=True):
            yield Absence.MISSING if ident == self.lost else answer

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        there = super().known(kind, ids)
        return [one and ident != self.lost for ident, one in zip(ids, there, strict=True)]

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        found = super().stat(kind, ids)
        return [None if ident == self.lost else s for ident, s in zip(ids, found, strict=True)]


def below(store: Holed, ident: ManifestId) -> list[tuple[Kind, ObjectId]]:
    """One object of each sort that a tree needs."""
    found = tree(store, ident)
    root, inner, large = found[b""], found[b"in"], found[b"in/large"]
    assert isinstance(root, Folder)
    assert isinstance(inner, Folder)
    assert isinstance(large, File)
    assert large.content.level
    return [
        (Kind.CHUNK, ChunkId(manifest_of(store, ident).content.id)),
        (Kind.CHUNK, ChunkId(root.content.id)),
        (Kind.CHUNK, ChunkId(inner.content.id)),
        (Kind.NODE, NodeId(large.content.id)),
        (Kind.CHUNK, chunk_id(b"small")),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_lost_object_is_found_with_the_manifest_that_needs_it(root: Path, number: int) -> None:
    store = Holed()
    ident = prepared(root, store).manifest
    judge = Completeness(store)
    manifest = manifest_of(store, ident)
    assert verify(store, None, VerifyOptions()).faults == []
    assert judge.state(manifest) is ManifestState.FULL
    kind, store.lost = below(store, ident)[number]
    (fault,) = verify(store, None, VerifyOptions(quick=True)).faults
    assert (fault.kind, fault.id, fault.problem) == (kind, store.lost, FaultKind.MISSING)
    assert fault.manifests == (ident,)
    assert Completeness(store).state(manifest) is None


def test_a_malformed_tree_is_reported(root: Path) -> None:
    store = Holed()
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"no entry at all")
    manifest = Manifest("tree", PARAMS, Content(0, chunk.id, chunk.length))
    packed = packer.pack_new(Kind.MANIFEST, encode_manifest(manifest))
    ident = ManifestId(packed.id)
    row = (ident, ManifestState.FULL, chunk.length)
    store.commit(Batch(objects=[chunk, packed], manifests=[row]))
    (fault,) = verify(store, None, VerifyOptions()).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.MANIFEST, ident, FaultKind.MALFORMED)
    assert Completeness(store).state(manifest) is None
