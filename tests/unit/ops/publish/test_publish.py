"""Publishing to a storage: what is sent, what a reader finds, what is removed and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pytest

from casync.bucket.keys import (
    MAPS,
    NAMES,
    SEGMENTS,
    map_key,
    map_of,
    name_key,
    part_of,
    segment_key,
)
from casync.bucket.storage import ObjectStorage
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    MalformedError,
    NoNameError,
    NotFoundError,
    UsageError,
)
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, parse_name
from casync.names.name_update import NameUpdate
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Packed
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content
from casync.ops.publish.contents import SiteContents
from casync.ops.publish.dry_run import UnwrittenStorage
from casync.ops.publish.publish import Published, PublishOptions, publish, unpublish
from casync.store.base import Absence, Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.contract.store_contract import pack
from tests.support.memory_storage import MemoryStorage
from tests.support.preparing import noise
from tests.support.pulling import put
from tests.support.tree_objects import Objects, file

DAY = 86400
NOW = 1_800_000_000
VM = parse_name("vm")
DISK = parse_name("disk")


class Rotten(MemoryStore):
    """A store whose chunks are all damaged."""

    def __init__(self, other: MemoryStore) -> None:
        super().__init__()
        self.__dict__.update(other.__dict__)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            yield Absence.DAMAGED if kind is Kind.CHUNK else answer


class Publisher:
    """A store, and the site that it publishes to."""

    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        self.storage = MemoryStorage()

    def prepare(self, data: bytes, name: Name = VM) -> ManifestId:
        ident = put(self.store, data)
        self.store.commit(Batch(names=[NameUpdate(name, ident)]))
        return ident

    def publish(
        self,
        *names: Name,
        day: float = 0,
        history: int = 1,
        storage: ObjectStorage | None = None,
    ) -> Published:
        options = PublishOptions(history=history)
        now = NOW + int(day * DAY)
        return publish(names or (VM,), self.store, storage or self.storage, options, now)

    def keys(self, prefix: str) -> set[str]:
        return {key for key in self.storage.objects if key.startswith(prefix)}


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


BASE = noise(600_000, 1)
CHANGED = BASE[:300_000] + b"changed" + BASE[300_007:]


def test_a_repeat_sends_and_writes_nothing(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    first = publisher.publish()
    assert (first.manifests, first.chunks > 10, first.removed) == (1, True, 0)
    before = dict(publisher.storage.objects)
    again = publisher.publish()
    assert (again.manifests, again.chunks, again.stored) == (0, 0, 0)
    assert publisher.storage.objects == before


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_repeat_adds_the_index_that_was_made_of_an_archive(
    publisher: Publisher, in_folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Objects()
    archive = world.content(b"archive")
    manifest = Manifest("file", DEFAULT_PARAMS, archive)
    if in_folder:
        manifest = world.tree(file(b"a.tar", archive))
    head = pack(encode_manifest(manifest), Kind.MANIFEST)
    ident = ManifestId(head.id)
    publisher.store.commit(
        Batch(
            objects=[*map(pack, world.plain.values()), head],
            manifests=[(ident, ManifestState.FULL, manifest.length)],
            names=[NameUpdate(VM, ident)],
        )
    )
    publisher.publish()
    assert not SiteContents(publisher.storage).archives(ident)
    index = Content(0, pack(b"index").id, 5)
    indexed = Batch(objects=[pack(b"index")], member_indexes=[(archive.id, index)])
    publisher.store.commit(indexed)
    assert publisher.publish().chunks == 1
    assert SiteContents(publisher.storage).archives(ident) == {archive.id}
    before = dict(publisher.storage.objects)
    monkeypatch.setattr(publisher.store, "get", None)  # nothing is walked
    assert publisher.publish().manifests == 0
    assert publisher.storage.objects == before


def test_an_update_sends_only_the_chunks_that_changed(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(CHANGED)
    assert 1 <= publisher.publish().chunks <= 3


def test_a_name_shares_the_chunks_of_another_one(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(CHANGED, DISK)
    assert 1 <= publisher.publish(DISK).chunks <= 3
    assert len(publisher.keys(NAMES)) == 2


def test_the_history_holds_as_many_versions_as_are_asked_for(publisher: Publisher) -> None:
    for n in range(4):
        publisher.prepare(noise(50_000, n))
    publisher.publish(history=3)
    document = json.loads(publisher.storage.objects[name_key(VM)].data)
    assert document["version"] == 4
    assert [one["version"] for one in document["history"]] == [3, 2]
    assert len(publisher.keys(MAPS)) == 3


def test_what_no_name_needs_stays_for_the_grace(publisher: Publisher) -> None:
    old = publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(noise(500_000, 9))
    changed = publisher.publish(day=1)
    assert (changed.dropped, changed.waiting, changed.removed) == (1, 2, 0)
    assert map_key(old) in publisher.storage.objects
    assert publisher.publish(day=7.9).removed == 0
    done = publisher.publish(day=8)
    assert (done.waiting, done.removed) == (0, 2)
    assert map_key(old) not in publisher.storage.objects
    assert len(publisher.keys(SEGMENTS)) == 1
    assert publisher.publish(day=9).removed == 0


def test_a_segment_stays_while_one_chunk_in_it_is_needed(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(CHANGED)
    publisher.publish(day=1)
    assert publisher.publish(day=30).removed == 1, "the old map"
    assert len(publisher.keys(SEGMENTS)) == 2


def test_a_version_that_comes_back_is_not_removed(publisher: Publisher) -> None:
    old = publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(noise(500_000, 9))
    publisher.publish(day=1)
    publisher.store.commit(Batch(names=[NameUpdate(VM, old)]))
    assert publisher.publish(day=2).chunks == 0
    assert publisher.publish(day=40, history=1).removed == 2, "the version between"
    assert map_key(old) in publisher.storage.objects
    assert len(publisher.keys(SEGMENTS)) == 1


def test_a_map_that_is_about_to_be_removed_is_not_relied_on(publisher: Publisher) -> None:
    old = publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(noise(500_000, 9))
    publisher.publish(day=1)
    publisher.store.commit(Batch(names=[NameUpdate(VM, old)]))
    again = publisher.publish(day=6)
    assert again.manifests == 1
    assert again.chunks > 10


class Meanwhile(MemoryStorage):
    """A site to which another publisher writes while one makes its maps."""

    def __init__(self, storage: MemoryStorage, other: Callable[[], object]) -> None:
        super().__init__()
        self.objects = storage.objects
        self._other: Callable[[], object] | None = other

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        super().put(key, data)
        if key.startswith(MAPS) and self._other is not None:
            other, self._other = self._other, None
            other()


def test_what_another_publisher_has_named_meanwhile_stays(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    disk = publisher.prepare(noise(90_000, 4), DISK)
    publisher.publish(VM, DISK)
    unpublish([DISK], publisher.storage, PublishOptions(), NOW)
    other = Meanwhile(publisher.storage, lambda: publisher.publish(DISK, day=8))
    publisher.prepare(CHANGED)
    publisher.publish(VM, day=8, storage=other)
    assert map_key(disk) in publisher.storage.objects
    assert publisher.keys(SEGMENTS) >= {
        segment_key(part) for part in SiteContents(publisher.storage).segments(disk)
    }


def test_what_a_publisher_left_when_it_died_is_removed(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    left = "seg/00/" + "00" * 16 + "-00000000"
    publisher.storage.put(left, b"half")
    publisher.prepare(CHANGED)
    assert publisher.publish(day=1).waiting == 2
    assert left in publisher.storage.objects
    publisher.publish(day=8)
    assert left not in publisher.storage.objects


@pytest.mark.parametrize("left", [None, b"", bytes(50)], ids=["lost", "empty", "zeros"])
def test_a_lost_list_of_unnamed_objects_begins_the_grace_anew(
    publisher: Publisher, left: bytes | None
) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(noise(500_000, 9))
    publisher.publish(day=1)
    publisher.storage.delete(["unnamed"])
    if left is not None:
        publisher.storage.put("unnamed", left)
    assert publisher.publish(day=20).removed == 0
    assert publisher.publish(day=27).removed == 2


def test_a_removed_name_is_gone_at_once_and_its_chunks_later(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.prepare(noise(90_000, 4), DISK)
    publisher.publish(VM, DISK)
    gone = unpublish([DISK], publisher.storage, PublishOptions(), NOW)
    assert (gone.dropped, gone.removed) == (1, 0)
    assert name_key(DISK) not in publisher.storage.objects
    publisher.publish(day=8)
    assert len(publisher.keys(MAPS)) == 1
    with pytest.raises(NoNameError):
        unpublish([DISK], publisher.storage, PublishOptions(), NOW)


def test_a_dry_run_counts_and_writes_nothing(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    publisher.prepare(CHANGED)
    before = dict(publisher.storage.objects)
    planned = publisher.publish(storage=UnwrittenStorage(publisher.storage))
    assert publisher.storage.objects == before
    assert planned == publisher.publish()


def test_a_name_that_went_on_elsewhere_is_not_set_back(publisher: Publisher) -> None:
    for n in range(3):
        publisher.prepare(noise(5000, n))
    publisher.publish()
    other = Publisher()
    other.storage = publisher.storage
    other.prepare(BASE)
    with pytest.raises(UsageError, match="has vm@3; here, vm is at @1"):
        other.publish()


def test_a_folder_with_other_files_is_left_alone(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.storage.put("index.html", b"a page")
    with pytest.raises(CasyncError, match="not empty"):
        publisher.publish()
    assert set(publisher.storage.objects) == {"index.html"}


def test_damaged_and_swapped_names_are_named_with_their_key(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.prepare(CHANGED, DISK)
    publisher.publish(VM, DISK)
    disk = publisher.storage.objects[name_key(DISK)].data
    for data in (disk, b"{"):
        publisher.storage.put(name_key(VM), data)
        with pytest.raises(MalformedError, match=name_key(VM)) as caught:
            publisher.publish()
        assert "Delete this object" in caught.value.next_step
    publisher.storage.delete([name_key(VM)])
    assert publisher.publish().names[0].name == VM
    assert publisher.storage.objects.keys() >= {name_key(VM), name_key(DISK)}


def test_a_name_that_is_not_here_is_not_published(publisher: Publisher) -> None:
    with pytest.raises(NoNameError):
        publisher.publish()
    assert publisher.storage.objects == {}


def test_a_damaged_chunk_is_not_published(publisher: Publisher) -> None:
    ident = publisher.prepare(BASE)
    publisher.store = Rotten(publisher.store)
    with pytest.raises(DamagedObjectError):
        publisher.publish()
    assert publisher.keys(NAMES) == publisher.keys(MAPS) == set()
    assert publisher.store.manifest(ident) is not None


def test_nothing_is_removed_where_no_site_is() -> None:
    storage = MemoryStorage()
    with pytest.raises(NotFoundError, match="no static site"):
        unpublish([VM], storage, PublishOptions(), NOW)
    assert storage.objects == {}


def test_keys_are_those_of_the_format(publisher: Publisher) -> None:
    publisher.prepare(BASE)
    publisher.publish()
    for key in publisher.storage.objects:
        known = key in {"store", "unnamed", name_key(VM)} or map_of(key) is not None
        assert known or part_of(key) is not None
