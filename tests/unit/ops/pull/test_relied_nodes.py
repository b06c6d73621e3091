"""A pull reads only the nodes that are new, and leaves a complete outline nevertheless."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.ids import Kind, ManifestId, NodeId
from casync.objects.below import Below
from casync.objects.manifest import decode_manifest
from casync.ops.pull.rebuild import Rebuilder
from casync.store.memory import MemoryStore
from casync.store.proved import ProvedReader
from tests.support.pulling import MemoryServer, noise, put, run

OLD = noise(1, 2_000_000)
NEW = OLD[:900_000] + b"new" + OLD[900_003:]


def nodes_of(store: MemoryStore, ident: ManifestId) -> set[bytes]:
    """All nodes below a manifest, each of which must be in the store."""
    read = ProvedReader(store)
    below = Below(read.plain, strict=True)
    for reached in below.walk(decode_manifest(read.one(Kind.MANIFEST, ident))):
        reached.check()
    return set(below.nodes)


@pytest.mark.parametrize("in_place", [False, True])
def test_the_nodes_that_a_seed_has_are_not_fetched(in_place: bool, tmp_path: Path) -> None:
    server, store, out = MemoryServer(), MemoryStore(), tmp_path / "out"
    old, new = put(server, OLD), put(server, NEW)
    run(old, out, server, store)
    before = set(store.objects(Kind.NODE))
    run(new, out, server, store, in_place=in_place)
    assert out.read_bytes() == NEW
    assert nodes_of(store, new) - before == nodes_of(server, new) - nodes_of(server, old)


@pytest.mark.parametrize("in_place", [False, True])
def test_an_outline_is_complete_though_the_old_one_was_collected_meanwhile(
    in_place: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, store, out = MemoryServer(), MemoryStore(), tmp_path / "out"
    old, new = put(server, OLD), put(server, NEW)
    run(old, out, server, store)
    shared = nodes_of(store, old) & nodes_of(server, new)
    whole = Rebuilder.run

    def collected(rebuilder: Rebuilder) -> object:
        """The rebuild, and then a collection that deletes everything of the old content."""
        given = whole(rebuilder)
        del store._tables.manifests[old]
        for ident in shared:
            del store._tables.objects[Kind.NODE, NodeId(ident)]
        return given

    monkeypatch.setattr(Rebuilder, "run", collected)
    run(new, out, server, store, in_place=in_place)
    assert out.read_bytes() == NEW
    assert nodes_of(store, new) == nodes_of(server, new)
