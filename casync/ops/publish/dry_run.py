"""A storage to which nothing is written, although it lists what would have been."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Self

from casync.bucket.storage import ListedKey, ObjectStorage, StoredObject, Tag, TagForm

__all__ = ["UnwrittenStorage"]


class UnwrittenStorage:
    """An `ObjectStorage` whose writes do nothing, so that an operation shows what it would do.

    It lists the objects that were put; they cannot be read.

    Args:
        storage: What is read.
    """

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._put: dict[str, ListedKey] = {}

    @property
    def place(self) -> str:
        """As `ObjectStorage.place`."""
        return self._storage.place

    def using(self, form: TagForm) -> Self:
        """As `ObjectStorage.using`; nothing is swapped here."""
        return self

    def get(self, key: str) -> StoredObject | None:
        """As `ObjectStorage.get`."""
        return self._storage.get(key)

    def tag(self, key: str) -> Tag | None:
        """As `ObjectStorage.tag`."""
        return self._storage.tag(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """As `ObjectStorage.get_ranges`."""
        return self._storage.get_ranges(key, ranges)

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """Notes the key."""
        size = len(data) if isinstance(data, bytes) else data.seek(0, io.SEEK_END)
        self._put[key] = ListedKey(key, size, time.time())

    def create(self, key: str, data: bytes) -> bool:
        """Does nothing."""
        return True

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        """Does nothing."""
        return tag

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        """As `ObjectStorage.list`, with what was put."""
        yield from (one for one in self._storage.list(prefix) if one.key not in self._put)
        yield from (one for one in list(self._put.values()) if one.key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        """Does nothing."""

    def close(self) -> None:
        """As `ObjectStorage.close`."""
        self._storage.close()
