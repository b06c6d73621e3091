"""Storages in memory: one as the port of object storage has it, and one whose conditions race."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import BinaryIO, NamedTuple, Self

from casync.bucket.storage import ListedKey, StoredObject, Tag, TagForm, check_key
from casync.errors import StoppedError

__all__ = ["MemoryStorage", "RacyStorage"]


class _Held(NamedTuple):
    data: bytes
    tag: Tag
    modified: float


class MemoryStorage:
    """See `ObjectStorage`.

    Args:
        accepts: The only form of tags that `swap` takes; None for any.
        clock: Says when an object was written.
    """

    def __init__(
        self, accepts: TagForm | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.objects: dict[str, _Held] = {}
        self._form = TagForm.QUOTED
        self._accepts = accepts
        self._clock = clock
        self._states = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def place(self) -> str:
        return "memory"

    def using(self, form: TagForm) -> Self:
        other = copy(self)
        other._form = form
        return other

    def get(self, key: str) -> StoredObject | None:
        self._check(key)
        found = self.objects.get(key)
        return found and StoredObject(found.data, found.tag)

    def tag(self, key: str) -> Tag | None:
        found = self.get(key)
        return found and found.tag

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        found = self.get(key)
        return found and [found.data[start:end] for start, end in ranges]

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        if not isinstance(data, bytes):
            data.seek(0)
            data = data.read()
        self._check(key)
        self._set(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._check(key)
        with self._lock:
            if key in self.objects:
                return False
            self._set(key, data)
            return True

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        self._check(key)
        with self._lock:
            return self._set(key, data) if self._has(key, tag) else None

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        for key, held in list(self.objects.items()):
            self._check(key)
            if key.startswith(prefix):
                yield ListedKey(key, len(held.data), held.modified)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._check(key)
            self.objects.pop(key, None)

    def close(self) -> None:
        self._closed.set()

    def _check(self, key: str) -> None:
        check_key(key)
        if self._closed.is_set():
            raise StoppedError(f"{self.place} is closed")

    def _has(self, key: str, tag: Tag) -> bool:
        held = self.objects.get(key)
        return held is not None and held.tag == tag and self._accepts in (None, self._form)

    def _set(self, key: str, data: bytes) -> Tag:
        tag = Tag(str(next(self._states)))
        self.objects[key] = _Held(data, tag, self._clock())
        return tag


class RacyStorage(MemoryStorage):
    """One that compares first and writes later, as some servers do: writers overtake each other.

    Args:
        creates: Whether `create` does.
        swaps: Whether `swap` does.
    """

    def __init__(self, *, creates: bool, swaps: bool) -> None:
        super().__init__()
        self._creates = creates
        self._swaps = swaps

    def create(self, key: str, data: bytes) -> bool:
        if not self._creates:
            return super().create(key, data)
        if key in self.objects:
            return False
        time.sleep(0.01)
        self._set(key, data)
        return True

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        if not self._swaps:
            return super().swap(key, data, tag)
        if not self._has(key, tag):
            return None
        time.sleep(0.01)
        return self._set(key, data)
