"""Law: content made of kept ranges and new bytes is the content that cutting all of it gives."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from casync.access.outline import open_outline
from casync.access.progress import SILENT
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.serial import SerialCutting
from casync.cutting.splice import SplicePart, splice
from casync.fs.source.base import Hole
from casync.ids import ManifestId
from casync.objects.chunker import ChunkerParams
from casync.objects.kept import Kept
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.ops.prepare.file import PrepareOptions, publish
from casync.store.memory.store import MemoryStore

PARAMS = [
    ChunkerParams(64, 256, 1024),
    ChunkerParams(64, 300, 4096),
    ChunkerParams(1024, 1024, 1024),
]

blocks = st.lists(
    st.builds(
        lambda seed, size: random.Random(seed).randbytes(size),
        st.integers(0, 3),
        st.integers(1, 3000),
    )
    | st.builds(Hole, st.integers(1, 9000) | st.integers(10**6, 10**9))
    | st.builds(
        lambda value, size: bytes([value]) * size,
        st.sampled_from(b"\x46\x01"),
        st.integers(1, 9000),
    )
    | st.builds(lambda seed: random.Random(seed).randbytes(300_000), st.integers(9, 12)),
    max_size=6,
)


def put(
    store: MemoryStore, params: ChunkerParams, data: list[bytes | Hole]
) -> tuple[ManifestId, Content]:
    writer = BatchWriter(store)
    try:
        chunk_writer = ChunkWriter(writer, level=1, threads=1, progress=SILENT)
        cutting = SerialCutting(chunk_writer, params)
        for block in data:
            cutting.feed(block)
        cutting.finish()
        content = chunk_writer.finish()
        ident, _ = publish(Manifest("file", params, content), writer, PrepareOptions())
    finally:
        writer.close()
    return ident, content


def part(data: list[bytes | Hole], start: int, end: int) -> list[bytes | Hole]:
    found: list[bytes | Hole] = []
    for block in data:
        length = block.length if isinstance(block, Hole) else len(block)
        first, last = max(start, 0), min(end, length)
        if first < last:
            found.append(Hole(last - first) if isinstance(block, Hole) else block[first:last])
        start, end = start - length, end - length
    return found


@given(st.sampled_from(PARAMS), blocks, st.data())
def test_spliced_content_is_cut_content(
    params: ChunkerParams, old: list[bytes | Hole], draw: st.DataObject
) -> None:
    store = MemoryStore()
    ident, content = put(store, params, old)
    offset = st.integers(0, content.length)
    kept = st.tuples(offset, offset).map(lambda two: Kept(min(two), max(two)))
    prefix = st.builds(lambda end: Kept(0, end), offset)
    suffix = st.builds(lambda start: Kept(start, content.length), offset)
    new = blocks.flatmap(lambda some: st.sampled_from(some or [b"x"]))
    pieces: list[SplicePart] = draw.draw(st.lists(kept | prefix | suffix | new, max_size=5))

    writer = BatchWriter(store)
    try:
        chunk_writer = ChunkWriter(writer, level=1, threads=1, progress=SILENT)
        splice(open_outline(ident, store), store, pieces, chunk_writer)
        spliced = chunk_writer.finish()
    finally:
        writer.close()

    whole: list[bytes | Hole] = []
    for piece in pieces:
        whole += part(old, *piece) if isinstance(piece, Kept) else [piece]
    assert spliced == put(MemoryStore(), params, whole)[1]
