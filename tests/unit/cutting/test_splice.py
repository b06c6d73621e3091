"""Splicing costs what is new: earlier chunks and nodes are shared without being read."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence

import pytest

from casync.access.outline import open_outline
from casync.access.progress import SILENT
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.splice import splice
from casync.fs.source.file import open_source
from casync.ids import Kind, ObjectId, manifest_id
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed
from casync.objects.kept import Kept
from casync.objects.manifest import Manifest, encode_manifest
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Absence
from casync.store.memory.store import MemoryStore

SIZE = 8_000_000
OPTIONS = PrepareOptions(params=ChunkerParams(64, 256, 1024), level=1, workers=1)
OLD = random.Random(1).randbytes(SIZE)


class CountingStore(MemoryStore):
    """Counts the objects of each kind that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = dict.fromkeys(Kind, 0)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        self.read[kind] += len(ids)
        yield from super().get(kind, ids)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([Kept(0, SIZE), b"new" * 1000], id="appended"),
        pytest.param([Kept(0, SIZE - 1024), b"end"], id="end replaced"),
        pytest.param([b"longer header", Kept(3, SIZE)], id="header changed"),
        pytest.param([Kept(0, SIZE // 2), b"inside", Kept(SIZE // 2, SIZE)], id="inserted"),
    ],
)
def test_splicing_reads_only_around_what_is_new(pieces: list[Kept | bytes]) -> None:
    store = CountingStore()
    prepared = prepare(open_source(io.BytesIO(OLD)), store, OPTIONS)
    assert prepared.chunks > 20_000
    store.read = dict.fromkeys(Kind, 0)
    writer = BatchWriter(store)
    try:
        chunk_writer = ChunkWriter(writer, level=1, threads=1, progress=SILENT)
        splice(open_outline(prepared.manifest, store), store, pieces, chunk_writer)
        content = chunk_writer.finish()
    finally:
        writer.close()
    assert store.read[Kind.CHUNK] < 3000
    assert store.read[Kind.NODE] < 30
    assert writer.new_length < 20_000
    whole = b"".join(OLD[one.start : one.end] if isinstance(one, Kept) else one for one in pieces)
    again = prepare(open_source(io.BytesIO(whole)), MemoryStore(), OPTIONS)
    manifest = encode_manifest(Manifest("file", OPTIONS.params, content))
    assert manifest_id(manifest) == again.manifest
