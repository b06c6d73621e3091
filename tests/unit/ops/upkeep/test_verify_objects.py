"""Verify: every way in which a chunk, a node or a manifest can be wrong."""

from __future__ import annotations

import pytest

from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.objects.codec import Codec, Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, Record, Run, decode_node, encode_records
from casync.ops.upkeep.verify import FaultKind, VerifyOptions, verify
from casync.store.base import Batch, ManifestState, ObjectStore
from tests.support.damaging import DATA, PLAIN, SPOILT, false_chunk, put, put_content, put_nodes
from tests.support.preparing import PARAMS, chunks, noise

pytestmark = pytest.mark.stores("memory", "lmdb")

QUICK = VerifyOptions(quick=True)
FULL, OUTLINE = ManifestState.FULL, ManifestState.OUTLINE


# -- Chunks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_chunk_that_a_compressor_spoilt_is_damaged(store: ObjectStore, spoilt: str) -> None:
    store.commit(Batch([SPOILT[spoilt]]))
    first = put(store, DATA, "disk")
    second = put(store, DATA[:200_000], "other")
    put(store, noise(50_000, 5), "disk")
    for chosen in (None, [first, second]):
        (fault,) = verify(store, chosen).faults
        assert (fault.kind, fault.id) == (Kind.CHUNK, chunk_id(PLAIN))
        assert fault.problem is FaultKind.DAMAGED
        assert fault.detail
        assert fault.manifests == tuple(sorted([first, second]))
        assert fault.names == ("disk@1", "other@1")


def test_quick_does_not_see_inside_chunks(store: ObjectStore) -> None:
    store.commit(Batch([SPOILT["other bytes"]]))
    put(store, DATA)
    assert verify(store, None, QUICK).faults == []


def test_a_damaged_chunk_that_is_not_needed_is_reported(store: ObjectStore) -> None:
    store.commit(Batch([SPOILT["other bytes"]]))
    ident = put(store, noise(1000, 3))
    (fault,) = verify(store).faults
    assert (fault.id, fault.manifests, fault.names) == (chunk_id(PLAIN), (), ())
    assert verify(store, [ident]).faults == []


def test_missing_chunks_are_named(store: ObjectStore) -> None:
    ident = put(store, DATA)
    lost = chunk_id(b"lost")
    runs = [Run(chunk_id(chunk), len(chunk), 1) for chunk in chunks(DATA)]
    runs.insert(20, Run(lost, 4, 3))
    wanting = put_content(store, put_nodes(store, runs, lambda _: False))
    single = put_content(store, Content(0, lost, 4))
    for options in (VerifyOptions(), QUICK):
        (fault,) = verify(store, None, options).faults
        assert (fault.kind, fault.id, fault.problem) == (Kind.CHUNK, lost, FaultKind.MISSING)
        assert fault.manifests == tuple(sorted([wanting, single]))
        assert verify(store, [ident], options).faults == []


def test_a_chunk_of_another_length_is_a_fault_of_its_node(store: ObjectStore) -> None:
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"four")
    data = encode_records(1, [Record(chunk.id, 4), Record(chunk.id, 5)])
    node = packer.pack_new(Kind.NODE, data)
    ident = put_content(store, Content(1, node.id, 9), chunk, node)
    (fault,) = verify(store, None, QUICK).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.NODE, node.id, FaultKind.MALFORMED)
    assert chunk.id.hex() in fault.detail
    assert fault.manifests == (ident,)


# -- Nodes and manifests -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 3])
def test_a_missing_node_is_named(store: ObjectStore, number: int) -> None:
    plain = [b"%d" % count for count in range(2000)]
    packer = Packer()
    store.commit(Batch([packer.pack_new(Kind.CHUNK, data) for data in plain]))
    runs = [Run(chunk_id(data), len(data), 1) for data in plain]
    ident = put_content(store, put_nodes(store, runs, lambda made: made == number))
    (fault,) = verify(store).faults
    assert (fault.kind, fault.problem) == (Kind.NODE, FaultKind.MISSING)
    assert fault.manifests == (ident,)


def test_a_node_that_breaks_the_format_is_malformed(store: ObjectStore) -> None:
    node = Packer().pack_new(Kind.NODE, b"CASN, or so")
    ident = put_content(store, Content(1, node.id, 9), node)
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.NODE, node.id, FaultKind.MALFORMED)
    assert fault.manifests == (ident,)


def test_a_spoilt_node_is_damaged(store: ObjectStore) -> None:
    data = encode_records(1, [Record(chunk_id(b"a"), 1), Record(chunk_id(b"a"), 1)])
    packer = Packer()
    node = packer.pack_new(Kind.NODE, data)
    spoilt = Verified(Kind.NODE, node.id, Codec.RAW, len(data), bytes(len(data)))
    ident = put_content(store, Content(1, node.id, 2), spoilt, packer.pack_new(Kind.CHUNK, b"a"))
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.NODE, node.id, FaultKind.DAMAGED)
    assert fault.manifests == (ident,)


def test_one_node_with_two_lengths_is_malformed(store: ObjectStore) -> None:
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"a")
    node = packer.pack_new(Kind.NODE, encode_records(1, [Record(chunk.id, 1)] * 2))
    first = put_content(store, Content(1, node.id, 2), chunk, node)
    second = put_content(store, Content(1, node.id, 3))
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.NODE, node.id, FaultKind.MALFORMED)
    assert set(fault.manifests) == {first, second}


def test_a_root_with_a_single_record_is_malformed(store: ObjectStore) -> None:
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"a")
    node = packer.pack_new(Kind.NODE, encode_records(1, [Record(chunk.id, 1)]))
    ident = put_content(store, Content(1, node.id, 1), chunk, node)
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.NODE, node.id, FaultKind.MALFORMED)
    assert fault.manifests == (ident,)


@pytest.mark.parametrize("data", [b"garbage", bytes(100)])
def test_a_manifest_that_breaks_the_format_is_malformed(store: ObjectStore, data: bytes) -> None:
    packed = Packer().pack_new(Kind.MANIFEST, data)
    ident = ManifestId(packed.id)
    store.commit(
        Batch(
            objects=[packed], manifests=[(ident, FULL, 5)], names=[NameUpdate(Name("bad"), ident)]
        )
    )
    (fault,) = verify(store).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.MANIFEST, ident, FaultKind.MALFORMED)
    assert (fault.manifests, fault.names) == ((ident,), ("bad@1",))


def test_a_row_with_another_length_is_malformed(store: ObjectStore) -> None:
    chunk = Packer().pack_new(Kind.CHUNK, b"four")
    ident = put_content(store, Content(0, chunk.id, 4), chunk, length=5)
    (fault,) = verify(store, None, QUICK).faults
    assert (fault.kind, fault.id, fault.problem) == (Kind.MANIFEST, ident, FaultKind.MALFORMED)


def test_outlines_need_no_chunks(store: ObjectStore) -> None:
    data = encode_manifest(Manifest("file", PARAMS, Content(0, chunk_id(b"lost"), 4)))
    packed = Packer().pack_new(Kind.MANIFEST, data)
    ident = ManifestId(packed.id)
    store.commit(Batch(objects=[packed], manifests=[(ident, OUTLINE, 4)]))
    report = verify(store)
    assert (report.manifests, report.faults) == (0, [])
    with pytest.raises(NoObjectError, match=ident.hex()):
        verify(store, [ident])


def test_an_unknown_manifest_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(NoObjectError):
        verify(store, [ManifestId(bytes(32))])


def test_a_graph_that_unfolds_exponentially_is_walked_by_its_nodes(store: ObjectStore) -> None:
    packer = Packer()
    chunk = packer.pack_new(Kind.CHUNK, b"x")
    spoilt = false_chunk(b"y", b"z")
    objects = [chunk, spoilt]
    content = Content(0, chunk.id, 1)
    for level in range(1, 8):
        records = [Record(content.id, content.length)] * 200
        if level == 1:
            records = [Record(chunk.id, 1), Record(spoilt.id, 1)] * 100
        node = packer.pack_new(Kind.NODE, encode_records(level, records))
        decode_node(encode_records(level, records), level, sum(record.length for record in records))
        objects.append(node)
        content = Content(level, node.id, sum(record.length for record in records))
    ident = put_content(store, content, *objects)
    (fault,) = verify(store).faults
    assert (fault.id, fault.manifests) == (spoilt.id, (ident,))
