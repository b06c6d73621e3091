"""The outline of a manifest."""

from __future__ import annotations

import gc
import io
import random
import weakref
from collections.abc import Iterator, Sequence

import pytest

from casync.access.outline import Outline, open_outline
from casync.errors import NoObjectError
from casync.fs.source.file import StreamSource
from casync.ids import Kind, NodeId, ObjectId
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory import MemoryStore
from casync.store.proved import ProvedReader


def test_an_outline_ends_when_it_is_dropped() -> None:
    """Commands open one for each of a million files; those that a collector must find add up."""
    store = MemoryStore()
    source = StreamSource(io.BytesIO(random.Random(1).randbytes(500_000)), "data")
    ident = prepare(source, store, PrepareOptions()).manifest
    gc.disable()
    try:
        outline = open_outline(ident, store)
        content = outline.content
        assert outline.node(NodeId(content.id), content.level, content.length).records
        dropped = weakref.ref(outline)
        del outline
        assert dropped() is None
    finally:
        gc.enable()


def test_nodes_are_loaded_together_and_what_is_missing_is_left_to_single_reads() -> None:
    store = MemoryStore()
    source = StreamSource(io.BytesIO(random.Random(1).randbytes(3_000_000)), "data")
    whole = open_outline(prepare(source, store, PrepareOptions()).manifest, store)
    asked: list[list[ObjectId]] = []

    def plain(kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes]:
        asked.append([*ids])
        return ProvedReader(store).plain(kind, ids)

    content = whole.content
    root = whole.node(NodeId(content.id), content.level, content.length)
    leaves = [NodeId(record.id) for record in root.records]
    assert content.level == 2
    assert len(leaves) > 1
    outline = Outline(whole.id, whole.manifest, store, plain=plain)
    outline.load(leaves)
    outline.load([NodeId(bytes(32))])
    assert asked == [leaves, [bytes(32)]]
    for record in root.records:
        assert outline.node(NodeId(record.id), 1, record.length).length == record.length
    assert len(asked) == 2
    with pytest.raises(NoObjectError):
        outline.node(NodeId(bytes(32)), 1, 1)
