"""What every `ObjectStorage` does. A subclass makes the fixture `storage`, which is empty."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from casync.bucket.storage import ObjectStorage, StoredObject, Tag
from casync.errors import MalformedError, StoppedError
from casync.store.bucket.probe import probe

T = TypeVar("T")

LARGE = random.Random(15).randbytes(3_000_000)
KEYS = ("store", "n/0a/0a1b", "seg/0f/0f-00000001", "run/ab-00000000", "run/ab-00000001", "run/b")


def found(storage: ObjectStorage, key: str) -> StoredObject:
    one = storage.get(key)
    assert one is not None
    return one


def at_once(writers: int, write: Callable[[int], T]) -> list[T]:
    start = threading.Barrier(writers)

    def run(number: int) -> T:
        start.wait()
        return write(number)

    with ThreadPoolExecutor(writers) as threads:
        return list(threads.map(run, range(writers)))


class StorageContract:
    """Tests of the port."""

    @pytest.fixture
    def writer(self, storage: ObjectStorage) -> ObjectStorage:
        """The storage with the form of tags that it takes, which the probe finds."""
        return storage.using(probe(storage))

    def test_an_object_has_the_bytes_that_were_put_last(self, storage: ObjectStorage) -> None:
        assert storage.get("seg/0f/x") is None
        for data in (b"one", b"", LARGE):
            storage.put("seg/0f/x", data)
            assert found(storage, "seg/0f/x").data == data
        assert storage.get("seg/0f") is None
        assert storage.get("seg/0f/x/y") is None

    def test_a_file_is_put_from_its_beginning(self, storage: ObjectStorage) -> None:
        file = io.BytesIO(LARGE)
        file.seek(1000)
        storage.put("run/x", file)
        assert found(storage, "run/x").data == LARGE

    def test_a_tag_is_that_of_the_present_state(self, writer: ObjectStorage) -> None:
        assert writer.tag("head") is None
        writer.put("head", b"one")
        first = writer.tag("head")
        assert first == found(writer, "head").tag
        assert writer.swap("head", b"two", first) == writer.tag("head") != first

    def test_ranges_have_their_bytes(self, storage: ObjectStorage) -> None:
        storage.put("x", LARGE)
        size = len(LARGE)
        ranges = [
            (2_000_000, 2_000_500),
            (0, 10),
            (10, 10),
            (5, 300_000),
            (size - 3, size),
            (1_000_000, 1_000_001),
        ]
        assert storage.get_ranges("x", ranges) == [LARGE[start:end] for start, end in ranges]
        assert storage.get_ranges("x", []) == []
        assert storage.get_ranges("y", [(0, 1)]) is None

    def test_ranges_beyond_the_end_have_fewer_bytes(self, storage: ObjectStorage) -> None:
        storage.put("x", b"0123456789")
        storage.put("empty", b"")
        assert storage.get_ranges("x", [(8, 20), (0, 2), (15, 30)]) == [b"89", b"01", b""]
        assert storage.get_ranges("x", [(500_000, 500_001), (3, 4)]) == [b"", b"3"]
        assert storage.get_ranges("empty", [(0, 1)]) == [b""]

    def test_an_object_is_created_once(self, storage: ObjectStorage) -> None:
        assert storage.create("store", b"one")
        assert not storage.create("store", b"two")
        assert found(storage, "store").data == b"one"
        storage.delete(["store"])
        assert storage.create("store", b"three")
        assert found(storage, "store").data == b"three"

    def test_of_many_creates_at_once_one_wins(self, storage: ObjectStorage) -> None:
        won = at_once(12, lambda number: storage.create("store", b"%d" % number))
        assert [number for number in range(12) if won[number]] == [
            int(found(storage, "store").data)
        ]

    def test_an_object_is_swapped_in_the_given_state_only(self, writer: ObjectStorage) -> None:
        writer.put("head", b"one")
        first = found(writer, "head").tag
        second = writer.swap("head", b"two", first)
        assert second is not None
        assert writer.swap("head", b"three", first) is None
        assert found(writer, "head") == (b"two", second)
        third = writer.swap("head", b"four", second)
        assert third is not None
        writer.put("head", b"five")
        assert writer.swap("head", b"six", third) is None
        assert found(writer, "head").data == b"five"

    def test_a_missing_object_is_not_swapped(self, writer: ObjectStorage) -> None:
        writer.put("head", b"one")
        tag = found(writer, "head").tag
        assert writer.swap("other", b"two", tag) is None
        assert writer.get("other") is None
        writer.delete(["head"])
        assert writer.swap("head", b"two", tag) is None
        assert writer.get("head") is None

    def test_tags_of_created_objects_can_be_swapped(self, writer: ObjectStorage) -> None:
        assert writer.create("head", b"one")
        tag: Tag | None = found(writer, "head").tag
        for number in range(3):
            assert tag is not None
            tag = writer.swap("head", b"%d" % number, tag)
        assert found(writer, "head") == (b"2", tag)

    def test_no_update_is_lost(self, writer: ObjectStorage) -> None:
        writer.put("head", b"0")

        def count(_: int) -> None:
            for _ in range(5):
                while True:
                    data, tag = found(writer, "head")
                    if writer.swap("head", b"%d" % (int(data) + 1), tag) is not None:
                        break

        at_once(4, count)
        assert found(writer, "head").data == b"20"

    def test_keys_are_listed_by_what_they_begin_with(self, storage: ObjectStorage) -> None:
        before = time.time()
        for key in KEYS:
            storage.put(key, key.encode())
        listed = {one.key: one for one in storage.list()}
        assert set(listed) == set(KEYS)
        assert all(listed[key].size == len(key) for key in KEYS)
        assert all(abs(one.modified - before) < 600 for one in listed.values())
        assert {one.key for one in storage.list("run/")} == set(KEYS[3:])
        assert {one.key for one in storage.list("run/ab-")} == set(KEYS[3:5])
        assert {one.key for one in storage.list("run/ab-00000001")} == {KEYS[4]}
        assert {one.key for one in storage.list("s")} == {"store", KEYS[2]}
        assert list(storage.list("run/c")) == []
        assert list(storage.list("x/")) == []

    def test_listings_of_many_keys_are_whole(self, storage: ObjectStorage) -> None:
        keys = [f"run/{number:04}" for number in range(1005)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: storage.put(key, b""), keys))
        assert sorted(one.key for one in storage.list("run/")) == keys
        storage.delete(keys[1:])
        assert [one.key for one in storage.list()] == keys[:1]

    def test_objects_are_deleted_and_missing_ones_are_no_error(
        self, storage: ObjectStorage
    ) -> None:
        for key in KEYS:
            storage.put(key, b"1")
        storage.delete([KEYS[0], "x/y", KEYS[1], "seg/0f/none", KEYS[3]])
        assert {one.key for one in storage.list()} == {KEYS[2], KEYS[4], KEYS[5]}
        storage.delete([KEYS[0]])
        storage.delete([])
        assert storage.get(KEYS[0]) is None

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", ".a", "a\n", "ä"])
    def test_what_is_no_key_is_refused(self, storage: ObjectStorage, key: str) -> None:
        with pytest.raises(MalformedError):
            storage.put(key, b"")
        with pytest.raises(MalformedError):
            storage.get(key)
        with pytest.raises(MalformedError):
            storage.delete([key])

    def test_the_probe_leaves_nothing_behind(self, storage: ObjectStorage) -> None:
        probe(storage)
        assert list(storage.list()) == []

    def test_a_closed_storage_says_so(self, storage: ObjectStorage) -> None:
        other = storage.using(probe(storage))
        storage.put("x", b"1")
        storage.close()
        for closed in (storage, other):
            with pytest.raises(StoppedError):
                closed.get("x")
            with pytest.raises(StoppedError):
                list(closed.list())
