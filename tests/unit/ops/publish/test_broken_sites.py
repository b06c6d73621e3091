"""Sites that have lost something: publishing a name makes it whole, and others are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest

from casync.bucket.keys import MAPS, NAMES, SEGMENTS, map_key
from casync.bucket.storage import ListedKey
from casync.errors import LostRaceError, UsageError
from casync.ids import ManifestId
from casync.names.name import Name, parse_name
from casync.names.name_update import NameUpdate
from casync.ops.publish.contents import SiteContents
from casync.ops.publish.dry_run import UnwrittenStorage
from casync.ops.publish.publish import Published, PublishOptions, publish, unpublish
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.support.memory_storage import MemoryStorage
from tests.support.preparing import noise
from tests.support.pulling import put

DAY = 86400
NOW = 1_800_000_000
VM, DISK = parse_name("vm"), parse_name("disk")
BASE = noise(600_000, 1)


class Site:
    """A store, and the site that it publishes to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.storage = MemoryStorage()

    def prepare(self, data: bytes, name: Name) -> ManifestId:
        ident = put(self.store, data)
        self.store.commit(Batch(names=[NameUpdate(name, ident)]))
        return ident

    def publish(
        self, *names: Name, day: int = 0, storage: MemoryStorage | None = None
    ) -> Published:
        place = storage or self.storage
        return publish(names, self.store, place, PublishOptions(), NOW + day * DAY)

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.storage.objects if key.startswith(prefix)]

    def is_whole(self, ident: ManifestId) -> bool:
        site = SiteContents(self.storage)
        return site.is_whole(ident, site.map_sizes()[ident], site.segment_sizes())

    def cut(self, prefix: str) -> None:
        for key in self.keys(prefix):
            self.storage.put(key, self.storage.objects[key].data[:-20])

    def lose(self, prefix: str) -> None:
        self.storage.delete(self.keys(prefix))

    def begin_with_zeros(self, prefix: str) -> None:
        for key in self.keys(prefix):
            self.storage.put(key, bytes(200) + self.storage.objects[key].data[200:])

    def swap(self, _: str) -> None:
        other = self.prepare(noise(50_000, 7), DISK)
        self.publish(DISK)
        data = self.storage.objects[map_key(other)].data
        for key in self.keys(MAPS):
            self.storage.put(key, data)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize(
    ("prefix", "harm", "chunks"),
    [
        (MAPS, Site.cut, 0),
        (MAPS, Site.lose, 0),
        (MAPS, Site.begin_with_zeros, 0),
        (MAPS, Site.swap, 0),
        (SEGMENTS, Site.cut, 10),
        (SEGMENTS, Site.lose, 10),
    ],
)
def test_publishing_a_name_again_makes_it_whole(
    site: Site, prefix: str, harm: Callable[[Site, str], None], chunks: int
) -> None:
    ident = site.prepare(BASE, VM)
    site.publish(VM)
    assert site.publish(VM).manifests == 0
    harm(site, prefix)
    again = site.publish(VM)
    assert again.manifests == 1
    assert again.chunks >= chunks
    assert site.is_whole(ident)
    assert site.publish(VM).manifests == 0


@pytest.mark.parametrize(
    ("prefix", "harm"), [(MAPS, Site.cut), (MAPS, Site.lose), (SEGMENTS, Site.lose)]
)
def test_a_name_that_lacks_something_is_told_and_holds_up_no_other_one(
    site: Site, prefix: str, harm: Callable[[Site, str], None]
) -> None:
    vm = site.prepare(BASE, VM)
    site.publish(VM)
    harm(site, prefix)
    disk = site.prepare(BASE[:400_000] + noise(90_000, 3), DISK)  # it shares chunks with the other
    first = site.publish(DISK)
    assert (first.manifests, first.broken) == (1, [VM])
    assert site.is_whole(disk)
    left = set(site.storage.objects)
    site.prepare(noise(50_000, 4), DISK)
    later = site.publish(DISK, day=30)
    assert (later.removed, later.broken) == (0, [VM])
    assert set(site.storage.objects) > left
    assert site.publish(VM, day=30).broken == []
    assert site.is_whole(vm)
    assert site.publish(VM, day=60).removed > 0


def test_a_name_that_lacks_something_may_be_removed(site: Site) -> None:
    site.prepare(BASE, VM)
    site.prepare(noise(90_000, 4), DISK)
    site.publish(VM, DISK)
    site.lose(MAPS)
    gone = unpublish([VM], site.storage, PublishOptions(), NOW)
    assert (gone.dropped, gone.broken) == (1, [DISK])


class Held(MemoryStorage):
    """Another publisher works while one is held, before it puts its map."""

    def __init__(self, storage: MemoryStorage, other: Callable[[], object]) -> None:
        super().__init__()
        self.objects = storage.objects
        self._other: Callable[[], object] | None = other

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        other = self._other
        if key.startswith(MAPS) and other is not None:
            self._other = None
            other()
        super().put(key, data)


def test_a_publisher_that_was_too_slow_breaks_no_name_of_another(site: Site) -> None:
    """The other one has published the same, and removed what this one sent."""
    ident = site.prepare(BASE, VM)

    def other() -> None:
        site.lose(SEGMENTS)
        site.publish(VM)

    published = site.publish(VM, storage=Held(site.storage, other))
    assert [record.manifest for record in published.names] == [ident]
    assert site.is_whole(ident)
    assert site.publish(VM).manifests == 0


def test_a_name_that_another_publisher_moved_on_is_not_set_back(site: Site) -> None:
    site.prepare(BASE, VM)
    site.publish(VM)
    ahead = Site()
    ahead.storage = site.storage
    for number in range(3):
        newest = ahead.prepare(noise(80_000, number), VM)
    site.prepare(noise(90_000, 9), VM)
    with pytest.raises(UsageError, match="has vm@3; here, vm is at @2"):
        site.publish(VM, storage=Held(site.storage, lambda: ahead.publish(VM)))
    assert SiteContents(site.storage).names()[VM][-1].manifest == newest
    assert site.is_whole(newest)


class Slow(MemoryStorage):
    """Between the segments and the map of a publisher, all others of these are removed."""

    def __init__(self, storage: MemoryStorage, prefix: str) -> None:
        super().__init__()
        self.objects = storage.objects
        self._prefix = prefix

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        if prefix == MAPS and any(key.startswith(NAMES) for key in self.objects):
            for key in [key for key in self.objects if key.startswith(self._prefix)]:
                del self.objects[key]
        return super().list(prefix)


@pytest.mark.parametrize("prefix", [MAPS, SEGMENTS])
def test_a_publisher_whose_objects_another_one_removed_says_so(site: Site, prefix: str) -> None:
    ident = site.prepare(BASE, VM)
    with pytest.raises(LostRaceError, match="another publisher removed") as caught:
        site.publish(VM, storage=Slow(site.storage, prefix))
    assert "again" in caught.value.next_step
    site.publish(VM)
    assert site.is_whole(ident)


def test_a_dry_run_of_what_is_lost_writes_nothing(site: Site) -> None:
    site.prepare(BASE, VM)
    site.publish(VM)
    site.lose(SEGMENTS)
    before = dict(site.storage.objects)
    shown = publish([VM], site.store, UnwrittenStorage(site.storage), PublishOptions(), NOW)
    assert (shown.manifests, shown.broken) == (1, [])
    assert site.storage.objects == before


class Asked(MemoryStorage):
    """Counts the bytes of what is read, and listings."""

    def __init__(self, storage: MemoryStorage) -> None:
        super().__init__()
        self.objects = storage.objects
        self.asked: list[str] = []

    def get_ranges(self, key: str, ranges: object) -> list[bytes] | None:
        self.asked.append(key)
        return super().get_ranges(key, ranges)  # type: ignore[arg-type]

    def list(self, prefix: str = "") -> object:  # type: ignore[override]
        self.asked.append(prefix)
        return super().list(prefix)


def test_a_repeat_lists_and_reads_the_beginning_of_one_map(site: Site) -> None:
    ident = site.prepare(BASE, VM)
    site.prepare(noise(90_000, 4), DISK)
    site.publish(VM, DISK)
    asked = Asked(site.storage)
    assert site.publish(VM, day=1, storage=asked).manifests == 0
    assert sorted(asked.asked) == sorted([NAMES, MAPS, SEGMENTS, map_key(ident)])


def test_listed_sizes_are_those_of_what_would_be_put(site: Site) -> None:
    site.storage.put("a/1", b"old")
    unwritten = UnwrittenStorage(site.storage)
    unwritten.put("a/1", b"longer")
    unwritten.put("a/2", b"new")
    unwritten.put("b/1", b"")
    found: list[ListedKey] = list(unwritten.list("a/"))
    assert sorted((one.key, one.size) for one in found) == [("a/1", 6), ("a/2", 3)]
    assert site.storage.objects["a/1"].data == b"old"
