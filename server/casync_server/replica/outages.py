"""A bucket whose refusals are outages to clients.

What the storage refuses (a key that has expired, a bucket that is gone) is no fault of a client,
and must not reach it as 403 or 404: it asks another replica, or again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Self

from casync.bucket.storage import ListedKey, ObjectStorage, StoredObject, Tag, TagForm
from casync.errors import DeniedError, NotFoundError, UnreachableError

__all__ = ["ServedStorage"]


class ServedStorage:
    """See `ObjectStorage`.

    Args:
        storage: The bucket.
    """

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage

    @property
    def place(self) -> str:
        """See `ObjectStorage`."""
        return self._storage.place

    def using(self, form: TagForm) -> Self:
        """See `ObjectStorage`."""
        return type(self)(self._storage.using(form))

    def get(self, key: str) -> StoredObject | None:
        """See `ObjectStorage`."""
        with _asking():
            return self._storage.get(key)

    def tag(self, key: str) -> Tag | None:
        """See `ObjectStorage`."""
        with _asking():
            return self._storage.tag(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See `ObjectStorage`."""
        with _asking():
            return self._storage.get_ranges(key, ranges)

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """See `ObjectStorage`."""
        with _asking():
            self._storage.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """See `ObjectStorage`."""
        with _asking():
            return self._storage.create(key, data)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        """See `ObjectStorage`."""
        with _asking():
            return self._storage.swap(key, data, tag)

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        """See `ObjectStorage`."""
        with _asking():
            yield from self._storage.list(prefix)

    def delete(self, keys: Sequence[str]) -> None:
        """See `ObjectStorage`."""
        with _asking():
            self._storage.delete(keys)

    def close(self) -> None:
        """See `ObjectStorage`."""
        self._storage.close()


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (DeniedError, NotFoundError) as error:
        raise UnreachableError(error.message, next_step=error.next_step) from error
