"""Nodes travel as deltas against the nodes of old versions."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from casync.access.endpoints import Endpoints
from casync.access.locate import load, locate_for_pull
from casync.access.outline import ObjectLoader, Outline, open_outline
from casync.ids import ChunkId, Kind, ManifestId
from casync.names.name import Ref
from casync.objects.chunk_runs import runs
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Codec, Packer, Verified
from casync.objects.delta import Delta
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder, Run
from casync.ops.pull.old_nodes import NodesByDelta
from casync.ops.pull.server_supply import DeltaChoice
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.pulling import PARAMS, MemoryServer

COUNT = 20_000


def ident(number: int) -> ChunkId:
    return ChunkId(random.Random(number).randbytes(32))


def put_outline(
    store: MemoryStore, numbers: Sequence[int], params: ChunkerParams = PARAMS
) -> ManifestId:
    """A manifest whose chunks are not stored."""
    objects: list[Verified] = []
    packer = Packer()
    builder = NodeBuilder(lambda _, node: objects.append(packer.pack_new(Kind.NODE, node)))
    for number in numbers:
        builder.add(Run(ident(number), 1000 + number % 5000, 1))
    root = packer.pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("file", params, builder.finish()))
    )
    found = ManifestId(root.id)
    store.commit(Batch([*objects, root], [(found, ManifestState.OUTLINE, 1)]))
    return found


def loaded(ident: ManifestId, store: MemoryStore, server: NodesByDelta) -> Outline:
    """An outline whose nodes came from a server."""
    loader = ObjectLoader(store, [("on a server", server)])
    found = locate_for_pull(Ref(manifest=ident), Endpoints(store, True, [], []), loader)
    assert isinstance(found, Outline)
    load(found, loader)
    return found


OLD = list(range(COUNT))
NEW = [number + COUNT if number % 97 == 0 else number for number in OLD]


class NodeTransfer:
    def __init__(self) -> None:
        self.server, self.store = MemoryServer(), MemoryStore()
        self.server.deltas_pay = True
        self.new = put_outline(self.server, NEW)
        self.known: list[Outline] = []

    def remember(self, numbers: Sequence[int], params: ChunkerParams = PARAMS) -> None:
        """Both sides have this older version."""
        put_outline(self.server, numbers, params)
        self.known.append(open_outline(put_outline(self.store, numbers, params), self.store))

    def load(self, delta: DeltaChoice = "auto") -> int:
        """Loads the new version; returns the bytes of its nodes on the wire."""
        seen = NodesByDelta(self.server, lambda: self.known, self.store, delta)
        before = self.server.node_bytes
        outline = loaded(self.new, self.store, seen)
        assert outline.id == self.new
        assert len(list(runs(outline.content, outline.node))) == COUNT
        return self.server.node_bytes - before


def test_new_ids_are_nearly_all_that_travels() -> None:
    world = NodeTransfer()
    world.remember(OLD)
    # One chunk in a hundred is the worst case: each costs a match of its own on both sides.
    assert world.load() < 2 * 32 * len(set(NEW) - set(OLD))


def test_without_an_old_version_plain_nodes_are_fetched() -> None:
    world = NodeTransfer()
    assert world.load() > 32 * COUNT


def test_the_old_version_of_the_same_length_is_the_base() -> None:
    world = NodeTransfer()
    world.remember(range(10**6, 10**6 + 200))
    world.remember(OLD)
    world.remember(range(2 * 10**6, 2 * 10**6 + 40_000))
    assert world.load() < 32 * COUNT / 10


def test_a_version_with_other_chunk_sizes_is_no_base() -> None:
    world = NodeTransfer()
    world.remember([number + 10**6 for number in OLD], ChunkerParams(128, 512, 2048))
    alone = world.load()
    world.known = []
    world.store = MemoryStore()
    assert world.load() == alone


@pytest.mark.parametrize("choice", ["never", "auto"])
def test_no_deltas_are_requested_if_disabled_or_not_worth_it(choice: DeltaChoice) -> None:
    world = NodeTransfer()
    world.remember(OLD)
    world.server.deltas_pay = choice == "never"
    world.load(choice)
    assert world.server.deltas == []


def test_damaged_old_nodes_are_no_bases() -> None:
    world = NodeTransfer()
    world.remember(OLD)
    for node in list(world.store.objects(Kind.NODE))[::2]:
        packed = world.store._tables.objects[Kind.NODE, node]
        rotten = packed._replace(codec=Codec.RAW, length=3, payload=b"rot")
        world.store._tables.objects[Kind.NODE, node] = rotten
    assert set(world.server.objects(Kind.NODE)) & set(world.store.objects(Kind.NODE))
    other = MemoryStore()  # has nothing of the new version, unlike the damaged store
    seen = NodesByDelta(world.server, lambda: world.known, world.store, "auto")
    outline = loaded(world.new, other, seen)
    assert len(list(runs(outline.content, outline.node))) == COUNT
    assert world.server.deltas


def test_after_a_bad_delta_plain_nodes_are_requested() -> None:
    world = NodeTransfer()
    world.remember(OLD)

    def lies(delta: Delta) -> Delta:
        return delta._replace(payload=delta.payload[:-3])

    world.server.edit = lies
    world.load()
    assert len(world.server.deltas) == 1  # and never again
