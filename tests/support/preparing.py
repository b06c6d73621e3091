"""The expected results of prepare, computed in one thread and one piece."""

from __future__ import annotations

import io
import random
from pathlib import Path

from casync.fs.source.file import StreamSource, coarse_clock
from casync.ids import ChunkId, Kind, ManifestId, NodeId, chunk_id, manifest_id
from casync.objects.chunk_runs import runs
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.node import Node, NodeBuilder, Run, decode_node
from casync.store.base import ObjectSource

PARAMS = ChunkerParams(256, 1024, 4096)


def noise(length: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(length)


def wait_for_a_tick(path: Path) -> None:
    """Returns when a change of a file has another time than its last one."""
    while coarse_clock() <= path.stat().st_ctime_ns:
        pass


def stream(data: bytes) -> StreamSource:
    return StreamSource(io.BytesIO(data))


def chunks(data: bytes, params: ChunkerParams = PARAMS) -> list[bytes]:
    """`data` in chunks."""
    cutter = Cutter(params)
    lengths = [*cutter.feed(data).lengths, *cutter.finish().lengths]
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    return [data[start : start + size] for start, size in zip(starts, lengths, strict=True)]


def hash_of(data: bytes, params: ChunkerParams = PARAMS) -> ManifestId:
    """The hash of `data`, from one call of the cutter and chunk after chunk."""
    builder = NodeBuilder(lambda ident, node: None)
    cutter = Cutter(params)
    start = 0
    for length in (*cutter.feed(data).lengths, *cutter.finish().lengths):
        builder.add(Run(chunk_id(data[start : start + length]), length, 1))
        start += length
    return manifest_id(encode_manifest(Manifest("file", params, builder.finish())))


def content_of(store: ObjectSource, ident: ManifestId) -> bytes:
    """The bytes of a manifest, every object proved."""
    unpacker = Unpacker()

    def plain(kind: Kind, ident: ManifestId | NodeId | ChunkId) -> bytes:
        (answer,) = store.get(kind, [ident])
        assert isinstance(answer, Packed), (kind, ident, answer)
        return unpacker.unpack(answer)

    def node(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(plain(Kind.NODE, ident), level, length)

    manifest = decode_manifest(plain(Kind.MANIFEST, ident))
    parts = [
        plain(Kind.CHUNK, ChunkId(run.id)) * run.times for _, run in runs(manifest.content, node)
    ]
    return b"".join(parts)


class Counter:
    """A progress that records its calls."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None]] = []
        self.notes: list[str] = []
        self.done = 0

    def start(self, what: str, total: int | None) -> None:
        self.phases.append((what, total))
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)
