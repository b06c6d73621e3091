"""The outline of a manifest."""

from __future__ import annotations

import gc
import io
import random
import weakref

from casync.access.outline import open_outline
from casync.fs.source.file import StreamSource
from casync.ids import NodeId
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory import MemoryStore


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
