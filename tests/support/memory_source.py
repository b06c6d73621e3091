"""A source in memory that behaves and fails like a bucket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator

from casync.errors import MalformedError, NotFoundError
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, ListedFolder, ObjectAnswer, failed

SECOND_NS = 1_000_000_000


class MemorySource:
    """Objects by key. Behaves like a bucket behind obstore: see `remote.sources.obstore_bucket`."""

    label = "s3://memory"
    place = "s3://memory in memory"

    def __init__(self) -> None:
        self.lists_sizes = True
        self.finds: list[str] = []
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
            self.finds.append(key)
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

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        self.before_read(key, start)
        with self._lock:
            if key not in self._objects:
                raise failed(NotFoundError(f"there is no object {key}"), ObjectFaultKind.HTTP, 404)
            listed, data = self._listed(key), self._objects[key][0]
            if unless is not None and unless.etag == listed.validators.etag:
                return None
            is_part = start > 0 or end is not None
            if is_part and (same is None or same.etag != listed.validators.etag):
                start, end, is_part = 0, None, False
            part = data[start:end]
            self.reads.append((key, start, start + len(part)))
            return ObjectAnswer(listed, start, iter([part]), lambda: None, is_ranged=is_part)

    def close(self) -> None:
        pass

    def _listed(self, key: str) -> Listed:
        data, seconds = self._objects[key]
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return Listed(key, len(data), Validators(etag, seconds * SECOND_NS))

    def _shown(self, key: str) -> Listed:
        """The object as listings show it. Raises if they cannot."""
        if "//" in key:
            raise MalformedError(f"{key} is no path")
        shown = key.removesuffix("/")
        return self._listed(key)._replace(key=shown) if self.lists_sizes else Listed(shown, None)
