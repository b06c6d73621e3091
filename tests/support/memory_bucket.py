"""A bucket in memory that behaves and fails like real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator

from casync.errors import MalformedError, NotFoundError, SourceChangedError
from casync.remote.buckets.base import Listed, ListedFolder

SECOND_NS = 1_000_000_000


class MemoryBucket:
    """Objects by key. Behaves like a bucket behind obstore: see `casync.remote.buckets.s3`."""

    label = "s3://memory"
    place = "s3://memory in memory"

    def __init__(self) -> None:
        self.reads: list[tuple[str, int, int]] = []
        self.before_read: Callable[[str, int], None] = lambda key, start: None
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._lock = threading.Lock()
        self._seconds = 1_700_000_000

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._seconds += 1
            self._objects[key] = data, self._seconds

    def remove(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)  # two readers may remove the same key

    def find(self, key: str) -> Listed | None:
        with self._lock:
            return self._listed(key) if key in self._objects else None

    def list_below(self, prefix: str) -> Iterator[Listed]:
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix))
            yield from [self._shown(key) for key in keys]

    def list_folder(self, prefix: str) -> ListedFolder:
        with self._lock:
            inside = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
            objects = [self._shown(prefix + rest) for rest in inside if "/" not in rest]
            names = sorted({rest.partition("/")[0] for rest in inside if "/" in rest})
            if "" in names:
                raise MalformedError(f"{prefix}/ is no path")
            return ListedFolder(objects, [f"{prefix}{name}/" for name in names])

    def read(self, listed: Listed, start: int, end: int) -> bytes:
        self.before_read(listed.key, start)
        with self._lock:
            self.reads.append((listed.key, start, end))
            if listed.key not in self._objects:
                raise NotFoundError(f"there is no object {listed.key}")
            if self._listed(listed.key).etag != listed.etag:
                raise SourceChangedError(f"{listed.key} changed while it was read")
            return self._objects[listed.key][0][start:end]

    def _listed(self, key: str) -> Listed:
        data, seconds = self._objects[key]
        return Listed(key, len(data), hashlib.md5(data).hexdigest(), seconds * SECOND_NS)

    def _shown(self, key: str) -> Listed:
        """The object as listings show it. Raises if they cannot."""
        if "//" in key:
            raise MalformedError(f"{key} is no path")
        return self._listed(key)._replace(key=key.removesuffix("/"))
