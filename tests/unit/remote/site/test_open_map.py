"""A map that is read by ranges: what is fetched, and what is found."""

from __future__ import annotations

import io
import random

import pytest

from casync.errors import MalformedError
from casync.ids import Kind, ManifestId
from casync.names.name import parse_name
from casync.ops.publish.map_file import MapMaker
from casync.ops.publish.place_table import PlaceTable
from casync.ops.publish.segments import SegmentWriter
from casync.remote.site.open_map import OpenMap
from casync.store.memory import MemoryStore
from tests.support.memory_storage import MemoryStorage
from tests.support.preparing import noise
from tests.support.pulling import put

NAME = parse_name("image")


def made(store: MemoryStore, ident: ManifestId) -> bytes:
    out = io.BytesIO()
    with PlaceTable() as table, SegmentWriter(MemoryStorage(), bytes(16)) as segments:
        MapMaker(store, table, segments, {}, lambda _: None).make(ident, out)
    return out.getvalue()


class Counted:
    """The ranges of a map that were read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_bytes = 0

    def read(self, start: int, end: int) -> bytes:
        self.read_bytes += min(end, len(self.data)) - start
        return self.data[start:end]


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    store = MemoryStore()
    put(store, noise(2_000_000, 5), NAME)
    return store


@pytest.fixture(scope="module")
def data(store: MemoryStore) -> bytes:
    (record,) = store.names()
    return made(store, ManifestId(record.manifest))


def test_every_node_and_chunk_is_found(store: MemoryStore, data: bytes) -> None:
    opened = OpenMap(Counted(data).read)
    nodes = list(store.objects(Kind.NODE))
    assert set(opened.nodes(nodes)) == set(nodes)
    chunks = list(store.objects(Kind.CHUNK))
    assert set(opened.places(chunks)) == set(chunks)


def test_chunks_are_found_without_their_nodes_in_any_order(store: MemoryStore, data: bytes) -> None:
    opened = OpenMap(Counted(data).read)
    chunks = list(store.objects(Kind.CHUNK))
    random.Random(2).shuffle(chunks)
    for start in range(0, len(chunks), 50):
        assert len(opened.places(chunks[start : start + 50])) == len(chunks[start : start + 50])


def test_places_that_were_forgotten_are_found_again(
    store: MemoryStore, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casync.remote.site.open_map._KEPT_PLACES", 40)
    monkeypatch.setattr("casync.remote.site.open_map._KEPT_BYTES", 4000)
    opened = OpenMap(Counted(data).read)
    chunks = list(store.objects(Kind.CHUNK))
    for chunk in [*chunks[::300], *chunks[::300]]:
        assert set(opened.places([chunk])) == {chunk}


def test_an_unknown_chunk_is_not_found(data: bytes) -> None:
    opened = OpenMap(Counted(data).read)
    assert opened.places([bytes(32)]) == {}
    assert opened.nodes([bytes(32)]) == {}


def test_the_nodes_of_an_update_are_read_alone(
    store: MemoryStore, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casync.remote.site.open_map._FIRST_BYTES", 4096)
    monkeypatch.setattr("casync.remote.site.open_map._GAP", 0)
    counted = Counted(data)
    opened = OpenMap(counted.read)
    before = counted.read_bytes
    node = list(store.objects(Kind.NODE))[3]
    assert set(opened.nodes([node])) == {node}
    assert 0 <= counted.read_bytes - before < len(data) / 4


@pytest.mark.parametrize("length", [0, 63, 64, 200])
def test_a_truncated_map_is_malformed(data: bytes, length: int) -> None:
    with pytest.raises(MalformedError):
        OpenMap(Counted(data[:length]).read)


def test_damage_anywhere_is_an_error_or_harmless(store: MemoryStore, data: bytes) -> None:
    chunks = list(store.objects(Kind.CHUNK))
    chance = random.Random(4)
    for _ in range(20):
        wrong = bytearray(data)
        wrong[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            opened = OpenMap(Counted(bytes(wrong)).read)
            opened.places(chunks)
            opened.nodes(list(store.objects(Kind.NODE)))
        except MalformedError:
            pass
