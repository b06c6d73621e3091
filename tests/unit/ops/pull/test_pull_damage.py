"""A pull says which object is damaged, where, and in which part of the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.errors import DamagedObjectError, NoObjectError, UnreachableError
from casync.ids import Kind, ManifestId, NodeId, ObjectId, chunk_id
from casync.names.name import Ref
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import decode_manifest
from casync.store.base import Absence, Batch, Committed, ManifestState
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled
from tests.support.pulling import MemoryServer, chunk_ids, noise, outline_of, pull_file, put, run
from tests.support.tree_worlds import prepared

DATA = noise(1, 50_000)


class Rotten(MemoryServer):
    """A store in which some objects are damaged until they are replaced."""

    origin = "rotten"

    def commit(self, batch: Batch) -> Committed:
        for item in batch.mended:
            self.absent.pop(item.id, None)
        return super().commit(batch)


def rotten(at: int = 3) -> tuple[Rotten, ManifestId, ObjectId]:
    """A store with one damaged chunk, its manifest and the chunk."""
    store = Rotten()
    ident = put(store, DATA)
    chunk = chunk_ids(store, ident)[at]
    store.absent[chunk] = Absence.DAMAGED
    return store, ident, chunk


def root_node(store: MemoryStore, ident: ManifestId) -> NodeId:
    (packed,) = store.get(Kind.MANIFEST, [ident])
    assert isinstance(packed, Packed)
    content = decode_manifest(Unpacker().unpack(packed)).content
    assert content.level == 1
    return NodeId(content.id)


def test_a_chunk_that_is_damaged_in_the_local_store_is_named(tmp_path: Path) -> None:
    local, ident, chunk = rotten(at=0)
    records = outline_of(ident, local).node(root_node(local, ident), 1, len(DATA)).records
    with pytest.raises(DamagedObjectError) as caught:
        pull_file(Ref(manifest=ident), tmp_path / "out", Endpoints(local, True, [local], []))
    assert caught.value.message == (
        f"chunk {chunk.hex()} (bytes 0 to {records[0].length}) is damaged in the local store"
    )
    assert "casync repair" in caught.value.next_step
    assert not (tmp_path / "out").exists()


def test_a_server_without_the_chunk_does_not_hide_the_damage(tmp_path: Path) -> None:
    local, ident, _ = rotten()
    with pytest.raises(DamagedObjectError, match=r"damaged in the local store$"):
        run(ident, tmp_path / "out", MemoryServer(), local)


@pytest.mark.parametrize("to_store", [False, True])
def test_every_place_of_a_damaged_chunk_is_named(tmp_path: Path, to_store: bool) -> None:
    (local, ident, chunk), (server, *_) = rotten(), rotten()
    with pytest.raises(DamagedObjectError) as caught:
        run(ident, None if to_store else tmp_path / "out", server, local)
    assert f"chunk {chunk.hex()}" in caught.value.message
    assert caught.value.message.endswith("is damaged in the local store and on rotten")
    assert caught.value.where == "in the local store and on rotten"
    assert "--server URL" in caught.value.next_step


def test_one_whole_copy_is_enough(tmp_path: Path) -> None:
    (local, ident, _), (server, *_) = rotten(), rotten()
    healthy = MemoryServer()
    put(healthy, DATA)
    pull_file(
        Ref(manifest=ident), tmp_path / "out", Endpoints(local, True, [local], [server, healthy])
    )
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_server_that_may_come_back_comes_before_damage(tmp_path: Path) -> None:
    class Down(MemoryServer):
        def get_groups(self, *_: object) -> object:  # type: ignore[override]
            raise UnreachableError("no answer")

    local, ident, _ = rotten()
    with pytest.raises(UnreachableError):
        run(ident, tmp_path / "out", Down(), local)


def test_a_damaged_node_of_a_server_is_named(tmp_path: Path) -> None:
    server = Rotten()
    ident = put(server, DATA)
    node = root_node(server, ident)
    server.absent[node] = Absence.DAMAGED
    with pytest.raises(DamagedObjectError) as caught:
        run(ident, tmp_path / "out", server, MemoryStore())
    assert caught.value.message == f"node {node.hex()} is damaged on rotten"
    server.absent[node] = Absence.MISSING
    with pytest.raises(NoObjectError, match=f"no source has node {node.hex()}"):
        run(ident, tmp_path / "out", server, MemoryStore())


def test_a_node_that_is_damaged_in_the_store_is_replaced(tmp_path: Path) -> None:
    local, server = Rotten(), MemoryServer()
    ident = put(local, DATA)
    put(server, DATA)
    node = root_node(server, ident)
    local.absent[node] = Absence.DAMAGED
    run(ident, tmp_path / "out", server, local)
    assert (tmp_path / "out").read_bytes() == DATA
    assert [type(answer) for answer in local.get(Kind.NODE, [node])] == [Packed]


def test_chunks_that_are_damaged_in_the_store_are_replaced() -> None:
    local, ident, chunk = rotten()
    server = MemoryServer()
    put(server, DATA)
    pull_file(Ref(manifest=ident), None, Endpoints(local, True, [local], [server]))
    assert [type(answer) for answer in local.get(Kind.CHUNK, [chunk])] == [Packed]
    row = local.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL


def test_the_file_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "from" / "sub").mkdir(parents=True)
    (tmp_path / "from" / "a").write_bytes(DATA)
    (tmp_path / "from" / "sub" / "b").write_bytes(b"in one chunk")
    server = Rotten()
    ident = prepared(tmp_path / "from", server).manifest
    server.absent[chunk_id(b"in one chunk")] = Absence.DAMAGED
    with pytest.raises(
        DamagedObjectError, match=r"\(bytes 0 to 12 of sub/b\) is damaged on rotten"
    ):
        pulled(ident, tmp_path / "to", server, MemoryStore())


def test_a_reader_of_content_learns_the_part() -> None:
    store, ident, chunk = rotten()
    outline = outline_of(ident, store)
    records = outline.node(root_node(store, ident), 1, len(DATA)).records
    start = sum(record.length for record in records[:3])
    with pytest.raises(DamagedObjectError) as caught:
        list(read_range(outline, store, 0, len(DATA)))
    part = f"bytes {start} to {start + records[3].length}"
    assert caught.value.message == f"chunk {chunk.hex()} ({part}) is damaged"
