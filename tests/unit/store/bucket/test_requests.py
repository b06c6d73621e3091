"""What a store in a bucket asks of its bucket, and what it leaves out without missing anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self

import pytest

from casync.bucket.commit import without_session
from casync.bucket.head import decode_head
from casync.bucket.keys import HEAD_KEY, SEGMENTS
from casync.bucket.storage import ListedKey, StoredObject, Tag, TagForm
from casync.errors import LostRaceError
from casync.ids import Kind
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.upkeep.verify import VerifyOptions, verify
from casync.store.base import Absence, Batch
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import ids_of, noise, pack, put_manifest
from tests.support.memory_storage import MemoryStorage
from tests.support.preparing import stream

DISK = parse_name("disk")


class Watched:
    """A storage that notes what is asked of it, and can keep swaps waiting."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self.asked: list[str] = []
        self.swaps = threading.Event()
        self.swaps.set()
        self.waits = threading.Event()

    @property
    def place(self) -> str:
        return self._storage.place

    def using(self, form: TagForm) -> Self:
        return self

    def get(self, key: str) -> StoredObject | None:
        self.asked.append(f"get {key}")
        return self._storage.get(key)

    def tag(self, key: str) -> Tag | None:
        self.asked.append(f"tag {key}")
        return self._storage.tag(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        self.asked.append(f"get_ranges {key}")
        return self._storage.get_ranges(key, ranges)

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        self.asked.append(f"put {key.partition('/')[0]}")
        self._storage.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.asked.append(f"create {key}")
        return self._storage.create(key, data)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        self.asked.append(f"swap {key}")
        self.waits.set()
        self.swaps.wait()
        return self._storage.swap(key, data, tag)

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        self.asked.append(f"list {prefix}")
        return self._storage.list(prefix)

    def delete(self, keys: Sequence[str]) -> None:
        self.asked.append("delete")
        self._storage.delete(keys)

    def close(self) -> None:
        self._storage.close()


@pytest.fixture
def bucket() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def take(storage: Watched, path: Path, data: bytes) -> None:
    with BucketStore.open_bucket(storage, path, create=True) as store:
        store._environment.looks_after = 60.0
        prepare(stream(data), store, PrepareOptions(name=DISK))


def test_known_data_costs_a_read_of_the_head_and_the_two_ends_of_a_session(
    bucket: MemoryStorage, tmp_path: Path
) -> None:
    data = noise(300_000, 1)
    take(Watched(bucket), tmp_path, data)
    again = Watched(bucket)
    take(again, tmp_path, data)
    assert sorted(again.asked[:2]) == ["get head", "get store"]  # at the same time
    assert set(again.asked[2:]) <= {"swap head", "tag head", "get head"}
    assert again.asked.count("get head") == 2  # the second beside cutting
    assert again.asked.count("swap head") == 2


def test_new_data_costs_a_run_and_a_swap_beside_its_segments(
    bucket: MemoryStorage, tmp_path: Path
) -> None:
    take(Watched(bucket), tmp_path, noise(300_000, 1))
    again = Watched(bucket)
    take(again, tmp_path, noise(300_000, 2))
    looks = {"tag head", "get head"}  # beside cutting, and after a second
    asked = [each for each in again.asked[2:] if each not in looks]
    assert asked == ["swap head", "put seg", "put seg", "put run", "swap head", "swap head"]


class TestTwoHosts:
    """One host takes its head for the present one while the other one changes it."""

    @pytest.fixture
    def one(self, bucket: MemoryStorage, tmp_path: Path, stack: ExitStack) -> BucketStore:
        path = tmp_path / "one"
        return stack.enter_context(BucketStore.open_bucket(bucket, path, create=True))

    @pytest.fixture
    def two(self, bucket: MemoryStorage, tmp_path: Path, stack: ExitStack) -> BucketStore:
        path = tmp_path / "two"
        return stack.enter_context(BucketStore.open_bucket(bucket, path, create=True))

    def test_a_version_that_another_host_made_just_now_is_the_expected_one(
        self, one: BucketStore, two: BucketStore
    ) -> None:
        first, second = put_manifest(one, b"1", "disk"), put_manifest(one, b"2")
        two.set_name(NameUpdate(DISK, second))
        assert one.set_name(NameUpdate(DISK, first, expected=2)).version == 3

    def test_a_version_that_another_host_has_replaced_is_not_the_expected_one(
        self, one: BucketStore, two: BucketStore
    ) -> None:
        first, second = put_manifest(one, b"1", "disk"), put_manifest(one, b"2")
        two.set_name(NameUpdate(DISK, second))
        with pytest.raises(LostRaceError):
            one.set_name(NameUpdate(DISK, first, expected=1))

    def test_a_name_that_stands_here_is_set_if_another_host_has_changed_it(
        self, one: BucketStore, two: BucketStore
    ) -> None:
        first, second = put_manifest(one, b"1", "disk"), put_manifest(one, b"2")
        two.set_name(NameUpdate(DISK, second))
        assert one.set_name(NameUpdate(DISK, first)).version == 3

    def test_a_session_that_a_collection_has_ended_writes_nothing(
        self, bucket: MemoryStorage, one: BucketStore, two: BucketStore
    ) -> None:
        one.commit(Batch(objects=[pack(b"loose")]))
        stored = bucket.get(HEAD_KEY)
        assert stored is not None
        mine = one._environment.session
        assert decode_head(stored.data).session(mine) is not None
        two._environment.own.swap(partial(without_session, session=mine))
        with pytest.raises(LostRaceError, match="has been ended"):
            one.commit(Batch(objects=[pack(b"more")]))


def test_readers_do_not_wait_for_a_commit(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    storage = Watched(bucket)
    store = stack.enter_context(BucketStore.open_bucket(storage, tmp_path, create=True))
    put_manifest(store, b"1", "disk")
    store._environment.looks_after = 0.0
    storage.swaps.clear()
    storage.waits.clear()
    writer = threading.Thread(target=put_manifest, args=(store, b"2", "disk"))
    writer.start()
    try:
        storage.waits.wait()
        assert len(store.history(DISK)) == 1
    finally:
        storage.swaps.set()
        writer.join()
    assert len(store.history(DISK)) == 2


def test_what_is_sent_ahead_is_sent_once(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    store = stack.enter_context(BucketStore.open_bucket(bucket, tmp_path, create=True))
    batch = Batch(objects=[pack(b"1"), pack(b"2")])
    store.stage(batch)
    sent = [each.key for each in bucket.list(SEGMENTS)]
    assert len(sent) == 1
    assert store.commit(batch).objects == 2
    assert [each.key for each in bucket.list(SEGMENTS)] == sent


def test_all_chunks_are_verified_with_a_few_requests_a_segment(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    """In the order of their ids, each of them would cost a request."""
    for number in range(3):
        take(Watched(bucket), tmp_path, noise(2_000_000, number))
    storage = Watched(bucket)
    store = stack.enter_context(BucketStore.open_bucket(storage, tmp_path))
    report = verify(store, options=VerifyOptions(workers=1))
    assert report.faults == []
    assert report.objects > 300
    segments = len(list(bucket.list(SEGMENTS)))
    assert sum(each.startswith("get_ranges") for each in storage.asked) <= 3 * segments


def test_a_segment_that_is_gone_damages_its_own_chunks_alone(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    store = stack.enter_context(BucketStore.open_bucket(bucket, tmp_path, create=True))
    chunks = [pack(noise(500, number)) for number in range(20)]
    store.commit(Batch(objects=chunks[:10]))
    first = {each.key for each in bucket.list(SEGMENTS)}
    store.commit(Batch(objects=chunks[10:]))
    bucket.delete(sorted(first))
    ids = ids_of([each for pair in zip(chunks[:10], chunks[10:], strict=True) for each in pair])
    answers = list(store.get(Kind.CHUNK, ids))
    assert answers[::2] == [Absence.DAMAGED] * 10
    assert answers[1::2] == chunks[10:]
    plains = list(store.plain_chunks(ids))
    assert plains[::2] == [None] * 10
    assert plains[1::2] == [noise(500, number) for number in range(10, 20)]


def test_bytes_of_one_head_with_the_tag_of_the_next_are_not_taken_for_the_present_head(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    """A server that opens an object and looks for its tag afterwards answers so."""
    one = stack.enter_context(BucketStore.open_bucket(bucket, tmp_path / "one", create=True))
    put_manifest(one, b"1", "disk")
    before = bucket.get(HEAD_KEY)
    assert before is not None
    put_manifest(one, b"2", "disk")
    after = bucket.get(HEAD_KEY)
    assert after is not None

    torn = StoredObject(before.data, after.tag)

    class Torn(Watched):
        is_torn = True

        def get(self, key: str) -> StoredObject | None:
            if key == HEAD_KEY and self.is_torn:
                return torn
            return super().get(key)

    storage = Torn(bucket)
    two = stack.enter_context(BucketStore.open_bucket(storage, tmp_path / "two"))
    assert len(two.history(DISK)) == 1
    storage.is_torn = False
    assert two._environment.refresh().version == decode_head(after.data).version
    assert len(two.history(DISK)) == 2


def test_nothing_is_sent_before_the_session_is_open(
    bucket: MemoryStorage, tmp_path: Path, stack: ExitStack
) -> None:
    """A collection deletes a segment whose session is not in the head."""
    storage = Watched(bucket)
    store = stack.enter_context(BucketStore.open_bucket(storage, tmp_path, create=True))
    storage.swaps.clear()
    storage.waits.clear()
    opener = threading.Thread(target=store.expect_commits)
    opener.start()
    storage.waits.wait()
    writer = threading.Thread(target=store.commit, args=(Batch(objects=[pack(b"1")]),))
    writer.start()
    writer.join(0.3)
    try:
        assert "put seg" not in storage.asked
    finally:
        storage.swaps.set()
        opener.join()
        writer.join()
    assert storage.asked.count("put seg") == 1
