"""Manifests and nodes with false lengths, false types or absurd sizes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.access.outline import open_outline
from casync.errors import IntegrityError, MalformedError, NoSpaceError
from casync.ids import ChunkId, Kind, ManifestId, chunk_id, zero_chunk_id
from casync.names.name import Ref
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, Record
from casync.ops.pull.wanted import PullOptions
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.pulling import PARAMS, MemoryServer, forecast_file, noise, outline_of, run

PACKER = Packer()


class Liar(MemoryServer):
    """A server with forged nodes and manifests."""

    def node(self, level: int, records: Sequence[Record]) -> Record:
        """Keeps a node of these records, and returns the record that lists it."""
        head = b"CASN" + bytes([1, level]) + len(records).to_bytes(2, "little")
        body = b"".join(record.id + record.length.to_bytes(8, "little") for record in records)
        packed = PACKER.pack_new(Kind.NODE, head + body)
        self.commit(Batch([packed]))
        return Record(packed.id, sum(record.length for record in records))

    def chunk(self, data: bytes) -> Record:
        """Keeps a chunk."""
        packed = PACKER.pack_new(Kind.CHUNK, data)
        self.commit(Batch([packed]))
        return Record(packed.id, len(data))

    def put_manifest(
        self, level: int, root: Record, kind: Literal["file", "tree"] = "file"
    ) -> ManifestId:
        """Keeps a manifest."""
        manifest = Manifest(kind, PARAMS, Content(level, *root))
        packed = PACKER.pack_new(Kind.MANIFEST, encode_manifest(manifest))
        self.commit(Batch([packed]))
        return ManifestId(packed.id)


def open_chunks(number: int) -> list[bytes]:
    """Chunks that close no node, however many of them it has."""
    found = (noise(seed, 1000) for seed in count())
    return [data for data, _ in zip(filter(_is_open, found), range(number), strict=False)]


def _is_open(data: bytes) -> bool:
    return chunk_id(data)[-1] & 0x7F != 0


def exabytes(server: Liar) -> ManifestId:
    """A sound manifest of a few nodes, no two adjacent records alike."""
    records = [server.chunk(data) for data in open_chunks(2)] * 256
    for level in count(1):
        whole = server.node(level, records)
        if whole.length > 1 << 60:
            return server.put_manifest(level, whole)
        records = [whole, server.node(level, records[1:])] * 64
    raise AssertionError


@pytest.mark.parametrize("target", ["file", "stream", "store"])
def test_a_chunk_of_two_lengths_is_refused(target: str, tmp_path: Path) -> None:
    server, store = Liar(), MemoryStore()
    honest = server.chunk(noise(1, 1000))
    root = server.node(1, [honest, honest._replace(length=1500)])
    ident = server.put_manifest(1, root)
    with pytest.raises(MalformedError, match="two lengths"):
        run(ident, _target(target, tmp_path), server, store)
    assert store.manifest(ident) is None
    assert not (tmp_path / "out").exists()


def test_a_node_of_two_lengths_is_refused_before_a_chunk_is_fetched() -> None:
    server = Liar()
    below = server.node(1, [server.chunk(noise(1, 1000))] * 2)
    top = server.node(2, [below, below._replace(length=3000)])
    with pytest.raises(MalformedError, match="two lengths"):
        outline_of(server.put_manifest(2, top), MemoryStore(), [server])
    assert server.asked == []


@pytest.mark.parametrize("target", ["file", "stream", "store"])
def test_a_root_with_a_single_record_is_refused(target: str, tmp_path: Path) -> None:
    server, store = Liar(), MemoryStore()
    ident = server.put_manifest(1, server.node(1, [server.chunk(noise(1, 1000))]))
    with pytest.raises(MalformedError, match="single record"):
        run(ident, _target(target, tmp_path), server, store)
    assert server.asked == []
    assert not (tmp_path / "out").exists()
    with pytest.raises(MalformedError, match="single record"):
        list(read_range(open_outline(ident, server), server, 0, 10))


def test_a_hole_of_another_length_is_not_read_as_zeros() -> None:
    server = Liar()
    server.chunk(bytes(PARAMS.max_size))
    lie = Record(zero_chunk_id(PARAMS.max_size), 10)
    outline = outline_of(server.put_manifest(1, server.node(1, [lie, lie])), server)
    with pytest.raises(IntegrityError):
        list(read_range(outline, server, 0, 20))


def test_exabytes_of_a_few_chunks_are_stored_as_a_few_chunks(tmp_path: Path) -> None:
    server, store = Liar(), MemoryStore()
    ident = exabytes(server)
    endpoints = Endpoints(store, True, [store], [server])
    expected = forecast_file(Ref(manifest=ident), None, endpoints, PullOptions())
    pulled = run(ident, None, server, store)
    assert pulled.length > 1 << 60
    assert pulled.sources == expected.sources
    assert pulled.sources["server"] == 2000
    assert pulled.sources["repeat"] == pulled.length - 2000
    row = store.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL
    assert store.known(Kind.CHUNK, [ChunkId(chunk_id(data)) for data in open_chunks(2)]) == [
        True,
        True,
    ]


def test_exabytes_do_not_fit_and_a_dry_run_says_so(tmp_path: Path) -> None:
    server, store = Liar(), MemoryStore()
    ident = exabytes(server)
    with pytest.raises(NoSpaceError):
        run(ident, tmp_path / "out", server, store)
    endpoints = Endpoints(store, True, [store], [server])
    with pytest.raises(NoSpaceError):
        forecast_file(Ref(manifest=ident), tmp_path / "out", endpoints, PullOptions())
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


def _target(kind: str, folder: Path) -> Path | io.BytesIO | None:
    targets: dict[str, Path | io.BytesIO | None] = {
        "file": folder / "out",
        "stream": io.BytesIO(),
        "store": None,
    }
    return targets[kind]
