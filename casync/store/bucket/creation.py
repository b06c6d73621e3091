"""Makes a store in a bucket: its marker, which never changes, and its first head."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from casync.bucket.head import BucketHead, encode_head
from casync.bucket.keys import HEAD_KEY, MARKER_KEY, PROBES, RUNS, SEGMENTS
from casync.bucket.marker import MARKER_FORMAT, PrefixMarker, decode_marker, encode_marker
from casync.bucket.storage import ObjectStorage, StoredObject
from casync.errors import (
    CasyncError,
    DamagedStoreError,
    MalformedError,
    NoStoreError,
    UnsupportedError,
    UsageError,
)

__all__ = ["FoundStore", "create_store", "find_store", "find_with_head", "new_marker"]


class FoundStore(NamedTuple):
    """A store in a bucket.

    Attributes:
        id: Its UUID.
        head: Its head, if that was read, too.
    """

    id: bytes
    head: StoredObject | None


def new_marker(now: int) -> bytes:
    """The marker of a new store.

    Args:
        now: Seconds since 1970.
    """
    return encode_marker(PrefixMarker(MARKER_FORMAT, "store", uuid.uuid4().hex, now))


def find_store(storage: ObjectStorage) -> bytes:
    """The UUID of the store in a bucket.

    Raises:
        NoStoreError: There is none.
        UsageError: There is a static site.
        UnsupportedError: Its format is newer than this program.
        DamagedStoreError: Its marker is damaged, or missing beside a head.
        CasyncError: The bucket cannot be read.
    """
    marker, head = _read(storage)
    return _marked(storage, marker, head)


def find_with_head(storage: ObjectStorage) -> FoundStore:
    """The store in a bucket. Marker and head are read at the same time. Raises as `find_store`."""
    marker, head = _read(storage)
    return FoundStore(_marked(storage, marker, head), head)


def _marked(
    storage: ObjectStorage, stored: StoredObject | None, head: StoredObject | None
) -> bytes:
    """The UUID in a marker. Raises as `find_store`."""
    if stored is None and head is not None:
        stored = storage.get(MARKER_KEY)  # another host may have made both meanwhile
        if stored is None:
            raise _lost_marker(storage)
    if stored is None:
        raise NoStoreError(
            f"no store at {storage.place}",
            next_step="`prepare`, `serve --writable` and `token new --create` make one.",
        )
    try:
        marker = decode_marker(stored.data)
    except MalformedError as error:
        raise DamagedStoreError(f"{storage.place} has a damaged marker: {error.message}") from error
    except UnsupportedError as error:
        raise UnsupportedError(
            f"the store at {storage.place}: {error.message}", next_step=error.next_step
        ) from error
    if marker.kind != "store":
        raise UsageError(
            f"{storage.place} is a static site, not a store",
            next_step="`casync publish` writes it, and any web server serves it.",
        )
    return marker.id


def _lost_marker(storage: ObjectStorage) -> DamagedStoreError:
    return DamagedStoreError(
        f"{storage.place} has lost its object `{MARKER_KEY}`",
        next_step="Put that object back from an older version or a copy of the bucket.",
    )


def _read(storage: ObjectStorage) -> tuple[StoredObject | None, StoredObject | None]:
    """Marker and head, at the same time."""
    pool = ThreadPoolExecutor(1)
    try:
        head = pool.submit(storage.get, HEAD_KEY)
        return storage.get(MARKER_KEY), head.result()
    finally:
        pool.shutdown(wait=False)  # a signal ends the wait, and then the storage is closed


def create_store(storage: ObjectStorage, now: int) -> FoundStore:
    """Makes an empty store, unless there is one.

    Raises:
        DamagedStoreError: There is a store that has lost its marker or its head.
        CasyncError: There is something else, or the bucket cannot be written.
    """
    marker, head = _read(storage)
    if marker is not None and head is not None:
        return FoundStore(_marked(storage, marker, head), head)
    if marker is None:
        others = (each.key for each in storage.list() if not each.key.startswith(PROBES))
        if next(others, None) is not None and storage.get(MARKER_KEY) is None:
            if head is not None or next(storage.list(RUNS), None) is not None:
                raise _lost_marker(storage)
            raise CasyncError(
                f"{storage.place} is not empty, and no store",
                next_step="Choose an empty prefix.",
            )
        storage.create(MARKER_KEY, new_marker(now))
    store_id = find_store(storage)  # another host may have made it
    if storage.get(HEAD_KEY) is None:
        # A new head is for an empty place alone: a collection deletes what is in no head.
        if _is_used(storage) and storage.get(HEAD_KEY) is None:
            raise DamagedStoreError(f"{storage.place} has lost its head")
        storage.create(HEAD_KEY, encode_head(BucketHead.new(store_id)))
    return FoundStore(store_id, None)


def _is_used(storage: ObjectStorage) -> bool:
    """Whether a writer has begun to write."""
    return any(next(storage.list(prefix), None) is not None for prefix in (RUNS, SEGMENTS))
