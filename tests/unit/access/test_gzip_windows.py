"""Windows of gzip in the index of an archive: any of them may be lost."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile

import pytest
import zstandard

from casync.access.archive import Archive
from casync.access.content_file import read_range
from casync.access.index_store import store_index
from casync.access.outline import Outline, open_outline
from casync.archives.gzip_points import GZIP_WINDOW
from casync.errors import IntegrityError
from casync.fs.source.stream import StreamSource
from casync.ids import ChunkId, Kind, ManifestId
from casync.names.name import Name, parse_ref
from casync.objects.chunk_runs import runs
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.ops.archive.list_members import archive_and_path
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.store.memory import MemoryStore
from tests.support.peer import Answer, Peer, sends

NOISE = random.Random(5)
MEMBERS = {f"{number}": NOISE.randbytes(500_000).hex().encode() for number in range(8)}
LARGE = b"".join(MEMBERS.values()) * 2
"""Longer than what is inflated at once: it is read from several points."""


@pytest.fixture
def store() -> MemoryStore:
    made, out = MemoryStore(), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in {**MEMBERS, "large": LARGE}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    packed = gzip.compress(out.getvalue(), 1)
    prepare(StreamSource(io.BytesIO(packed)), made, PrepareOptions(name=Name("a.tgz")))
    return made


def opened(store: MemoryStore) -> Archive:
    return archive_and_path(parse_ref("a.tgz"), store)[0]


def read(archive: Archive, path: str) -> bytes:
    found = archive.open(path.encode())
    assert found is not None
    return b"".join(found.read(0, found.length))


def archive_id(store: MemoryStore) -> bytes:
    return open_outline(store.resolve(parse_ref("a.tgz")), store).content.id


def index_outline(store: MemoryStore) -> Outline:
    content = store.member_index(archive_id(store))
    assert content is not None
    return Outline(ManifestId(b""), Manifest("file", DEFAULT_PARAMS, content), store)


def index_bytes(store: MemoryStore) -> bytes:
    outline = index_outline(store)
    return b"".join(map(bytes, read_range(outline, store, 0, outline.length)))


def windows(data: bytes) -> list[int]:
    """Where the frames of windows begin in an index."""
    found, at = [], 0
    while data[at:].startswith(zstandard.FRAME_HEADER):
        reader = zstandard.ZstdDecompressor().decompressobj()
        if len(reader.decompress(data[at:])) == GZIP_WINDOW:
            found.append(at)
        at = len(data) - len(reader.unused_data)
    return found


@pytest.mark.parametrize("path", ["5", "large"])
def test_windows_that_are_lost_or_damaged_are_made_again(store: MemoryStore, path: str) -> None:
    """A2"""
    wanted = {**MEMBERS, "large": LARGE}[path]
    assert read(opened(store), path) == wanted
    good, data = index_outline(store).content, index_bytes(store)
    assert len(windows(data)) >= 4
    for at in windows(data):
        broken = data[: at + 100] + bytes([data[at + 100] ^ 1]) + data[at + 101 :]
        store_index([broken], archive_id(store), store, again=False)
        assert read(opened(store), path) == wanted
        store_index([data], archive_id(store), store, again=False)
        archive, outline = opened(store), index_outline(store)
        *_, last = (run for begin, run in runs(outline.content, outline.node) if begin <= at)
        del store._tables.objects[Kind.CHUNK, ChunkId(last.id)]
        assert read(archive, path) == wanted
        store_index([data], archive_id(store), store, again=True)
    assert index_outline(store).content == good


def test_an_index_of_another_version_is_a_lost_one(store: MemoryStore) -> None:
    """A2"""
    opened(store)
    good, data = index_outline(store).content, index_bytes(store)
    size = int.from_bytes(data[-16:-8], "little")
    tail = zstandard.ZstdDecompressor().decompress(data[-16 - size : -16])
    for version in (1, 3):
        packed = zstandard.ZstdCompressor(write_checksum=True).compress(
            tail[:1] + bytes([version]) + tail[2:]
        )
        foot = len(packed).to_bytes(8, "little") + data[-8:]
        other = data[: -16 - size] + packed + foot
        store_index([other], archive_id(store), store, again=False)
        assert index_outline(store).content != good
        assert read(opened(store), "5") == MEMBERS["5"]
        assert index_outline(store).content == good


def test_damaged_windows_of_a_server_are_an_error_that_names_it_once(store: MemoryStore) -> None:
    """A7"""
    opened(store)
    data = bytearray(index_bytes(store))
    for at in windows(bytes(data)):
        data[at + 100] ^= 1
    content = store_index([bytes(data)], b"x" * 32, store, again=False)
    item = {"level": content.level, "id": content.id.hex(), "length": content.length}
    answer = sends(Answer(200, "application/json", json.dumps(item).encode()))
    with (
        Peer(store, lambda seen: answer if "/index" in seen.target else None) as peer,
        RemoteClient(peer.url, TransportOptions(retry_for=0)) as client,
    ):
        archive = archive_and_path(parse_ref("a.tgz"), client)[0]
        with pytest.raises(IntegrityError, match="the index of the archive is damaged") as caught:
            read(archive, "large")
    assert caught.value.message.count(peer.url) == 1
