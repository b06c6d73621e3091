"""The pushes of a store in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Batch, Committed, ManifestState, ObjectStat
from casync.store.memory.commit import commit
from casync.store.memory.tables import PushState, Tables
from casync.store.push import PUSH_ID_BYTES, OpenPush, has_ended, is_alive, outlived

__all__ = ["MemoryPushes"]


class MemoryPushes:
    """The `Pushes` of a store in memory, which always has room.

    Args:
        tables: The store.
        clock: Seconds since 1970.
    """

    def __init__(self, tables: Tables, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._clock = clock

    def begin(self) -> bytes:
        """As `Pushes.begin`."""
        push, now = secrets.token_bytes(PUSH_ID_BYTES), int(self._clock())
        with self._tables.lock:
            pushes = self._tables.pushes
            for ended in outlived({each: row.heard for each, row in pushes.items()}, now):
                del pushes[ended]
            pushes[push] = PushState(self._tables.generation, now)
        return push

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `Pushes.promise`."""
        with self._tables.lock:
            self._note(push, int(self._clock()))
            self._tables.renew((kind, ident) for ident in ids)
            found = [self._tables.objects.get((kind, ident)) for ident in ids]
        return [ObjectStat(f.length, len(f.payload)) if f is not None else None for f in found]

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        """As `Pushes.put`."""
        now = int(self._clock())
        with self._tables.lock:
            self._note(push, now)
            return commit(self._tables, Batch(objects=list(objects)), now)

    def publish(self, push: bytes, what: ManifestId | NameUpdate, length: int) -> NameRecord | None:
        """As `Pushes.publish`."""
        now = int(self._clock())
        updates = [what] if isinstance(what, NameUpdate) else []
        manifest = what.manifest if isinstance(what, NameUpdate) else what
        batch = Batch(manifests=[(manifest, ManifestState.FULL, length)], names=updates)
        with self._tables.lock:
            self._note(push, now)
            records = commit(self._tables, batch, now).names
            del self._tables.pushes[push]
        return records[0] if records else None

    def open(self) -> list[OpenPush]:
        """As `Pushes.open`."""
        with self._tables.lock:
            return self._tables.open_pushes(int(self._clock()))

    def end(self, push: bytes) -> None:
        """As `Pushes.end`."""
        with self._tables.lock:
            self._tables.pushes.pop(push, None)

    def check_room(self, push: bytes, need: int, *, spare: int) -> None:
        """As `Pushes.check_room`; there is always room."""

    def _note(self, push: bytes, now: int) -> None:
        """Notes a request of an open push.

        Raises:
            NotFoundError: The push has ended.
        """
        row = self._tables.pushes.get(push)
        if row is None or not is_alive(row.heard, now):
            raise has_ended(push)
        self._tables.pushes[push] = row._replace(heard=now)
