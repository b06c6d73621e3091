"""What is committed is in the bucket, whatever became of an upload or a read on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from casync.bucket.keys import SEGMENTS, segment_key
from casync.bucket.storage import StoredObject
from casync.errors import DeniedError
from casync.ids import Kind
from casync.objects.codec import Packed, Verified
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.bucket.segments import NotUploadedError, SegmentUploads
from casync.store.bucket.session_parts import SessionParts
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.pending import Pending
from tests.contract.store_contract import FULL, ids_of, noise, pack
from tests.support.memory_storage import MemoryStorage
from tests.support.small_store import content

_LARGE = 100_000


class Faulty(MemoryStorage):
    """A storage that refuses the next segment, after something else has happened."""

    before: Callable[[], object] | None = None
    refused = 0

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        if self.before is not None and key.startswith(SEGMENTS):
            before, self.before = self.before, None
            before()
            self.refused += 1
            raise DeniedError("no room")
        super().put(key, data)


class Flipping(MemoryStorage):
    """A storage from which large objects arrive with a wrong bit."""

    flips = 0
    """The byte of the object; 0 for none."""

    def get(self, key: str) -> StoredObject | None:
        found = super().get(key)
        if found is None or not self.flips or len(found.data) < _LARGE:
            return found
        data = bytearray(found.data)
        data[self.flips] ^= 4
        return found._replace(data=bytes(data))


def test_the_next_try_uploads_what_one_could_not() -> None:
    storage, parts = Faulty(), SessionParts()
    parts.begin(b"s" * 16)
    uploads = SegmentUploads(storage, bytes(16), parts.next, lambda: parts.session)
    pending = Pending.of([pack(b"1")])
    storage.before = bool
    with pytest.raises(DeniedError):
        uploads.upload(pending)
    with pytest.raises(NotUploadedError):
        uploads.place(pending)
    uploads.upload(pending)
    (placed,) = uploads.place(pending)
    assert segment_key(placed.segment.part) in storage.objects


def mostly_dead(storage: MemoryStorage, path: Path) -> list[Verified]:
    """Makes a segment of twenty chunks; returns the two that a manifest keeps."""
    plain = [noise(20_000, number).hex().encode() for number in range(20)]
    packed = [pack(each) for each in plain]
    with BucketStore.open_bucket(storage, path, create=True) as store:
        store.commit(Batch(objects=packed))
        ident, kept = content(plain[3:5])
        store.commit(Batch(objects=kept, manifests=[(ident, FULL, 80_000)]))
    return packed[3:5]


def readable(storage: MemoryStorage, path: Path, kept: list[Verified]) -> bool:
    with BucketStore.open_bucket(storage, path) as store:
        found = list(store.get(Kind.CHUNK, ids_of(kept)))
        return found == [Packed(*item) for item in kept]


def test_a_collection_whose_upload_failed_while_another_host_committed_loses_nothing(
    tmp_path: Path,
) -> None:
    storage = Faulty()
    kept = mostly_dead(storage, tmp_path / "zero")
    with (
        BucketStore.open_bucket(storage, tmp_path / "one") as one,
        BucketStore.open_bucket(storage, tmp_path / "two") as two,
    ):
        storage.before = lambda: two.commit(Batch(objects=[pack(b"meanwhile")]))
        with suppress(DeniedError):
            collect(one, options=CollectOptions(window=0))
    assert storage.refused == 1
    assert readable(storage, tmp_path / "three", kept)


def test_a_commit_whose_upload_failed_while_another_host_committed_is_none(tmp_path: Path) -> None:
    storage, old = Faulty(), pack(noise(5000))
    with (
        BucketStore.open_bucket(storage, tmp_path / "one", create=True) as one,
        BucketStore.open_bucket(storage, tmp_path / "two") as two,
    ):
        one.commit(Batch(objects=[old]))
        one.set_quota(len(old.payload) + 2500)  # little enough for no upload before
        new = [pack(noise(1000, 2))]
        storage.before = lambda: two.commit(Batch(objects=[pack(b"meanwhile")]))
        with suppress(DeniedError):
            one.commit(Batch(objects=[old, *new]))
            assert readable(storage, tmp_path / "three", new)


@pytest.mark.parametrize("behind", [-8, 10_000], ids=["length", "payload"])
def test_a_collection_moves_no_record_that_arrived_damaged(tmp_path: Path, behind: int) -> None:
    """A bit is wrong in its length, before its id, or in its payload."""
    storage = Flipping()
    kept = mostly_dead(storage, tmp_path / "zero")
    (large,) = (
        found.data
        for found in map(storage.get, list(storage.objects))
        if found is not None and len(found.data) > _LARGE
    )
    with BucketStore.open_bucket(storage, tmp_path / "one") as store:
        storage.flips = large.index(kept[0].id) + behind
        collect(store, options=CollectOptions(window=0))
        storage.flips = 0
    assert readable(storage, tmp_path / "two", kept)
