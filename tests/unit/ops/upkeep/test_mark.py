"""Marks of everything that manifests need: files, folders, and damage."""

from __future__ import annotations

import pytest

from casync.errors import DamagedStoreError
from casync.ids import Kind, ManifestId
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, NodeBuilder, Run
from casync.objects.tree import Entry, File, Folder, Link, Meta, encode_entry, encode_root
from casync.ops.upkeep.mark import Marker, Marks
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.contract.store_contract import noise, pack
from tests.support.small_store import content

META = Meta(0o755, 0, 0, 0, "", "", ())


def marked(marker: Marker, packed: list[Verified]) -> list[bool]:
    return [marker.is_marked(item.kind, item.id) for item in sorted(packed, key=lambda i: i.id)]


def put_content(packed: list[Verified], plains: list[bytes]) -> Content:
    """The content of some chunks, which go to `packed` with their nodes."""
    builder = NodeBuilder(lambda _, data: packed.append(pack(data, Kind.NODE)))
    for plain in plains:
        item = pack(plain)
        packed.append(item)
        builder.add(Run(item.id, item.length, 1))
    return builder.finish()


def test_marks_a_file_and_nothing_else() -> None:
    store = MemoryStore()
    one, packed = content([noise(1000, n) for n in range(500)])
    _, others = content([noise(1000, 1000 + n) for n in range(500)])
    store.commit(Batch(objects=[*packed, *others]))
    marker = Marker(store)
    marker.mark(one)
    assert all(marked(marker, packed))
    assert not any(marked(marker, others))


@pytest.mark.parametrize("plains", [[], [b"x"]])
def test_contents_without_nodes(plains: list[bytes]) -> None:
    store = MemoryStore()
    ident, packed = content(plains)
    store.commit(Batch(objects=packed))
    marker = Marker(store)
    marker.mark(ident)
    assert all(marked(marker, packed))


def test_marks_all_that_is_in_a_folder() -> None:
    store = MemoryStore()
    packed: list[Verified] = []
    large = put_content(packed, [noise(500, n) for n in range(300)])
    small = put_content(packed, [b"small"])
    inner: list[Entry] = [
        File(b"f", META, None, small),
        File(b"g", META, None, put_content(packed, [])),
    ]
    inside = put_content(packed, [b"".join(map(encode_entry, inner))])
    entries: list[Entry] = [
        Folder(b"a", META, inside),
        Folder(b"b", META, inside),
        File(b"c", META, None, large),
        Link(b"d", META, None, b"c"),
    ]
    listing = [encode_entry(entry) for entry in entries]
    root = Folder(b"", META, put_content(packed, listing))
    top = put_content(packed, [encode_root(root)])
    packed.append(pack(encode_manifest(Manifest("tree", DEFAULT_PARAMS, top)), Kind.MANIFEST))
    store.commit(Batch(objects=[*packed, pack(b"loose")]))
    marker = Marker(store)
    marker.mark(ManifestId(packed[-1].id))
    assert all(marked(marker, packed))
    assert not marker.is_marked(Kind.CHUNK, pack(b"loose").id)


@pytest.mark.parametrize("kind", [Kind.MANIFEST, Kind.NODE])
def test_a_missing_object_stops_the_mark(kind: Kind) -> None:
    store = MemoryStore()
    ident, packed = content([noise(1000, n) for n in range(500)])
    lost = next(item for item in packed if item.kind is kind)
    store.commit(Batch(objects=[item for item in packed if item is not lost]))
    with pytest.raises(DamagedStoreError, match=lost.id.hex()):
        Marker(store).mark(ident)


def test_marks_hold_many_ids() -> None:
    marks = Marks()
    ids = [pack(b"%d" % number).id for number in range(50_000)]
    for _ in range(3):
        for ident in ids[::2]:
            marks.add(ident)
    found = {ident for ident in sorted(ids) if ident in marks}
    assert found == set(ids[::2])
    marks.add(ids[1])
    assert ids[1] in marks
