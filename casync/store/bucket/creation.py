"""Makes a store in a bucket: its marker, which never changes, and its first head."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from casync.bucket.head import BucketHead, encode_head
from casync.bucket.keys import HEAD_KEY, MARKER_KEY
from casync.bucket.storage import ObjectStorage
from casync.errors import DamagedStoreError, NoStoreError, UnsupportedError

__all__ = ["create_store", "find_store"]

_FORMAT: Final = 2


class _Marker(msgspec.Struct):
    format: int
    uuid: str
    created: int


def find_store(storage: ObjectStorage) -> bytes:
    """The UUID of the store in a bucket.

    Raises:
        NoStoreError: There is none.
        UnsupportedError: Its format is newer than this program.
        DamagedStoreError: Its marker is damaged.
        CasyncError: The bucket cannot be read.
    """
    stored = storage.get(MARKER_KEY)
    if stored is None:
        raise NoStoreError(f"no store at {storage.place}")
    try:
        marker = msgspec.json.decode(stored.data, type=_Marker)
        store_id = uuid.UUID(marker.uuid).bytes
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedStoreError(f"{storage.place} has a damaged marker: {error}") from error
    if marker.format > _FORMAT:
        raise UnsupportedError(
            f"the store at {storage.place} has format {marker.format}; "
            f"this program supports up to {_FORMAT}",
            next_step="Use a newer casync.",
        )
    return store_id


def create_store(storage: ObjectStorage, now: int) -> bytes:
    """Makes an empty store, unless there is one; returns its UUID.

    Raises:
        CasyncError: The bucket cannot be written.
    """
    marker = _Marker(_FORMAT, str(uuid.uuid4()), now)
    storage.create(MARKER_KEY, msgspec.json.encode(marker))
    store_id = find_store(storage)  # whoever made it
    storage.create(HEAD_KEY, encode_head(BucketHead.new(store_id)))
    return store_id
