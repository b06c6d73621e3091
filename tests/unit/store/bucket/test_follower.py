"""Tables that follow the head of a bucket, while readers use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from casync.bucket.storage import ObjectStorage, StoredObject, Tag
from casync.errors import DamagedStoreError, UnreachableError
from casync.ids import Kind
from casync.store.bucket.follower import HeadFollower
from casync.store.bucket.store import BucketStore
from tests.support.faulty_storage import Fault, FaultyStorage, Schedule
from tests.support.memory_storage import MemoryStorage
from tests.support.serving import put_file


class Counted(MemoryStorage):
    """One that notes what is read whole, and by ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.ranges: list[str] = []

    def get(self, key: str) -> StoredObject | None:
        self.read.append(key)
        return super().get(key)

    def tag(self, key: str) -> Tag | None:
        held = self.objects.get(key)
        return held and held.tag

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        self.ranges.append(key)
        return super().get_ranges(key, ranges)


class Host:
    """A store that is followed, and the time for its follower."""

    def __init__(self, store: BucketStore) -> None:
        self.now = 0.0
        self.store = store
        self.follower = HeadFollower(store._environment, lambda _: None, lambda: self.now)


@pytest.fixture
def storage() -> Counted:
    return Counted()


@pytest.fixture
def opened(tmp_path: Path, storage: Counted) -> Iterator[Callable[..., BucketStore]]:
    with ExitStack() as stack:

        def host(
            name: str,
            used: ObjectStorage = storage,
            *,
            create: bool = False,
            read_only: bool = False,
            sync: bool = True,
        ) -> BucketStore:
            store = BucketStore.open_bucket(
                used, tmp_path / name, create=create, read_only=read_only, sync=sync
            )
            return stack.enter_context(store)

        yield host


def names(store: BucketStore) -> list[str]:
    return [record.name for record in store.names()]


def test_readers_see_what_the_follower_has_brought(opened: Callable[..., BucketStore]) -> None:
    writer = opened("writer", create=True)
    host = Host(opened("replica", read_only=True, sync=False))
    assert "first sync" in host.follower.waits_for
    host.follower.look()
    assert host.follower.waits_for == ""
    put_file(writer, b"one", name="x")
    assert names(host.store) == []
    host.follower.look()
    assert names(host.store) == ["x"]


def test_a_look_without_news_reads_nothing(
    storage: Counted, opened: Callable[..., BucketStore]
) -> None:
    put_file(opened("writer", create=True), b"one", name="x")
    host = Host(opened("replica", sync=False))
    host.follower.look()
    storage.read.clear()
    host.follower.look()
    assert names(host.store) == ["x"]
    assert storage.read == []


def test_a_bucket_that_is_away_is_waited_for_and_what_is_here_is_served(
    tmp_path: Path, storage: Counted, opened: Callable[..., BucketStore]
) -> None:
    put_file(opened("writer", create=True), b"one", name="x")
    away = FaultyStorage(storage, Schedule(1, {Fault.ERROR: 1.0}))
    host = Host(opened("replica", sync=False))
    host.follower.look()
    host.store._environment.storage = away
    with pytest.raises(UnreachableError):
        host.follower.look()
    assert host.follower.waits_for == ""
    host.now = 60.0
    assert "60 s ago" in host.follower.waits_for
    assert names(host.store) == ["x"]
    host.store.close()
    again = Host(opened("replica", away, sync=False))
    assert again.follower.is_synced
    assert names(again.store) == ["x"]


def test_a_bucket_that_is_damaged_is_said_to_be(
    storage: Counted, opened: Callable[..., BucketStore]
) -> None:
    put_file(opened("writer", create=True), b"one", name="x")
    host = Host(opened("replica", sync=False))
    assert host.follower.waits_for.endswith("has come to version 0")
    host.follower.look()
    head = storage.objects.pop("head")
    with pytest.raises(DamagedStoreError):
        host.follower.look()
    host.now = 60.0
    assert "damaged or was rolled back" in host.follower.waits_for
    storage.objects["head"] = head
    host.follower.look()
    assert host.follower.waits_for == ""


def test_chunks_are_read_from_the_bucket_once(
    tmp_path: Path, storage: Counted, opened: Callable[..., BucketStore]
) -> None:
    put_file(opened("writer", create=True), bytes(range(256)) * 64)
    with BucketStore.open_bucket(storage, tmp_path / "replica", cache_bytes=1_000_000) as store:
        ids = list(store.objects(Kind.CHUNK))
        first = list(store.get(Kind.CHUNK, ids))
        assert storage.ranges
        storage.ranges.clear()
        assert list(store.get(Kind.CHUNK, ids)) == first
        assert storage.ranges == []


def test_a_push_goes_on_at_another_replica_at_once(opened: Callable[..., BucketStore]) -> None:
    one, two = Host(opened("one", create=True)), Host(opened("two", sync=False))
    two.follower.look()
    push = one.store.pushes.begin()
    assert two.store.pushes.promise(push, Kind.CHUNK, []) == []
    two.store.pushes.end(push)
