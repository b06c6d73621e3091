"""A server in memory that lies on request, and helpers of the tests of pull."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from casync.access.endpoints import Endpoints
from casync.access.locate import fetch
from casync.access.outline import Outline
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.limits import MAX_BATCH_BYTES
from casync.names.name import Name, Ref
from casync.names.name_update import NameUpdate
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.codec import Packed, Packer, Unpacker, Verified
from casync.objects.delta import Delta, Group
from casync.objects.leaves import LeafCursor
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder, Run
from casync.ops.pull.file import Pulled, pull
from casync.ops.pull.forecast import Forecast, forecast
from casync.ops.pull.wanted import PullOptions, WantedFile
from casync.ops.pull_folder.look_up import look_up
from casync.ops.serve.deltas import make_delta
from casync.store.base import Absence, Batch, ManifestState, ObjectStore, Traffic
from casync.store.memory import MemoryStore

PARAMS = ChunkerParams(256, 1024, 4096)


class MemoryServer(MemoryStore):
    """A server that counts what it is asked for, and lies on request."""

    origin = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ObjectId] = []
        self.sent = 0
        self.node_bytes = 0
        self.nodes: list[ObjectId] = []
        self.corrupt: set[ObjectId] = set()
        self.absent: dict[ObjectId, Absence] = {}
        self._count = threading.Lock()
        self.deltas_pay = False
        self.deltas: list[Delta] = []
        self.edit: Callable[[Delta], Delta] = lambda delta: delta

    @property
    def traffic(self) -> Traffic:
        return Traffic(len(self.asked), 0, self.sent)

    def close(self) -> None:
        pass

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`: a store finds any object without that."""

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        for group in groups:
            made = None
            if not group.is_single:
                made = make_delta(self, kind, group, Unpacker(), MAX_BATCH_BYTES)
            if made is None:
                for answer in self.get(kind, group.wanted):
                    if kind is Kind.NODE and isinstance(answer, Packed):
                        self.node_bytes += len(answer.payload)
                    yield (answer,)
            else:
                self.deltas.append(made.delta)
                if kind is Kind.NODE:
                    self.node_bytes += len(made.delta.payload)
                yield (self.edit(made.delta),)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for ident, answer in zip(ids, super().get(kind, ids), strict=True):
            if kind is Kind.NODE:
                self.nodes.append(ident)
            if kind is Kind.CHUNK:
                with self._count:
                    self.asked.append(ident)
                    self.sent += 8 + (len(answer.payload) if isinstance(answer, Packed) else 0)
            if ident in self.absent:
                yield self.absent[ident]
            elif ident in self.corrupt and isinstance(answer, Packed):
                yield answer._replace(payload=bytes(len(answer.payload)))
            else:
                yield answer


def noise(seed: int, count: int) -> bytes:
    return random.Random(seed).randbytes(count)


def put(store: MemoryStore, data: bytes, name: str | None = None) -> ManifestId:
    """Stores a file without `prepare`, so that these tests depend on pull alone."""
    packer = Packer()
    objects: list[Verified] = []
    builder = NodeBuilder(lambda _, node: objects.append(packer.pack_new(Kind.NODE, node)))
    cutter = Cutter(PARAMS)
    start = 0
    for piece in (*cutter.feed(data).lengths, *cutter.finish().lengths):
        chunk = packer.pack_new(Kind.CHUNK, data[start : start + piece])
        objects.append(chunk)
        builder.add(Run(chunk.id, piece, 1))
        start += piece
    root = packer.pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("file", PARAMS, builder.finish()))
    )
    ident = ManifestId(root.id)
    batch = Batch([*objects, root], [(ident, ManifestState.FULL, len(data))])
    batch.names = [NameUpdate(Name(name), ident)] if name else []
    store.commit(batch)
    return ident


def wanted(
    ref: Ref, target: Path | BinaryIO | None, endpoints: Endpoints, options: PullOptions
) -> WantedFile:
    found = look_up(ref, target, endpoints, options)
    assert isinstance(found, WantedFile)
    return found


def pull_file(
    ref: Ref,
    target: Path | BinaryIO | None,
    endpoints: Endpoints,
    options: PullOptions = PullOptions(),
) -> Pulled:
    return pull(wanted(ref, target, endpoints, options), endpoints, options)


def forecast_file(
    ref: Ref, target: Path | None, endpoints: Endpoints, options: PullOptions
) -> Forecast:
    return forecast(wanted(ref, target, endpoints, options), endpoints, options)


def run(
    ident: ManifestId,
    target: Path | io.BytesIO | None,
    server: MemoryServer,
    store: MemoryStore,
    **options: object,
) -> Pulled:
    endpoints = Endpoints(store, True, [store], [server])
    return pull_file(Ref(manifest=ident), target, endpoints, PullOptions(**options))  # type: ignore[arg-type]


def outline_of(
    ident: ManifestId, store: ObjectStore, servers: Sequence[MemoryServer] = ()
) -> Outline:
    """The outline of a file, with all its nodes in `store`."""
    found = fetch(Ref(manifest=ident), Endpoints(store, True, [], [*servers]))
    assert isinstance(found, Outline)
    return found


def chunk_ids(store: MemoryStore, ident: ManifestId) -> list[ObjectId]:
    """The chunks of a manifest of `store`, in order, its holes left out."""
    outline = outline_of(ident, store)
    chunks = LeafCursor(outline.content, outline.node).chunks(0, outline.length)
    return [ChunkId(chunk.id) for _, chunk in chunks if not outline.is_hole(*chunk)]
