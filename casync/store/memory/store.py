"""A store in memory: `WritableStore` and `CollectableStore` without durability."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial

from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed
from casync.objects.node import Content
from casync.store.base import (
    Absence,
    Batch,
    Committed,
    ManifestRow,
    ManifestState,
    ObjectStat,
    RememberedFile,
    Removal,
    Removed,
)
from casync.store.memory import trash
from casync.store.memory.collection import MemoryCollection
from casync.store.memory.commit import commit
from casync.store.memory.jobs import MemoryJobs
from casync.store.memory.pushes import MemoryPushes
from casync.store.memory.tables import Tables
from casync.store.names import next_number, resolve

__all__ = ["MemoryStore"]


class MemoryStore:
    """A store that ends with the process. Safe for threads.

    Args:
        clock: Seconds since 1970, for the times of rows and the silence of pushes.
    """

    commits_at_once = 1

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tables = Tables()

    def close(self) -> None:
        """Ends the promises of `known` and `commit`, and the claims of jobs.

        Objects without a manifest may be collected. The store stays usable, as a store on disk that
        is opened again.
        """
        self._tables.writer = None
        self._tables.jobs.runners.clear()

    def expect_commits(self) -> None:
        """As `ObjectStore.expect_commits`: nothing waits here."""

    def stage(self, batch: Batch) -> None:
        """As `ObjectStore.stage`: nothing is sent."""

    def refresh(self) -> None:
        """As `ObjectStore.refresh`: all is seen at once."""

    # -- Objects ------------------------------------------------------------------------------

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        for ident in ids:
            found = self._tables.objects.get((kind, ident))
            yield Absence.MISSING if found is None else Packed(*found)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        found = [self._tables.objects.get((kind, ident)) for ident in ids]
        return [ObjectStat(f.length, len(f.payload)) if f is not None else None for f in found]

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """As `ObjectStore.known`."""
        with self._tables.lock:
            here = [(kind, ident) in self._tables.objects for ident in ids]
            if any(here):
                self._rely()
                self._tables.renew((kind, ident) for ident in ids)
        return here

    def _rely(self) -> None:
        if self._tables.writer is None:
            self._tables.writer = self._tables.generation

    def objects(self, kind: Kind) -> Iterator[ObjectId]:
        """As `ObjectStore.objects`."""
        with self._tables.lock:
            ids = sorted(ident for its_kind, ident in self._tables.objects if its_kind is kind)
        yield from ids

    by_place = objects

    # -- Manifests and names ------------------------------------------------------------------

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return self.full_from(ManifestId(b""))

    def full_from(self, first: ManifestId) -> Iterator[ManifestRow]:
        """The full manifests whose ids are `first` or above, ordered by id."""
        with self._tables.lock:
            rows = sorted(row for row in self._tables.manifests.values() if row.id >= first)
        return iter([row for row in rows if row.state is ManifestState.FULL])

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._tables.manifests.get(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        with self._tables.lock:
            newest = {name: records[-1] for name, records in self._tables.names.items()}
        return (newest[name] for name in sorted(newest) if name.startswith(prefix))

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        return list(self._tables.names.get(name, ()))

    def version(self, name: Name, number: int) -> NameRecord | None:
        """One version of a name; number 0 is the newest."""
        records = self.history(name)
        found = [record for record in records if number in (0, record.version)]
        return found[-1] if found else None

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        return resolve(ref, self)

    def member_index(self, archive: bytes) -> Content | None:
        """As `IndexedStore.member_index`."""
        return self._tables.member_indexes.get(archive)

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """As `IndexLister.member_indexes`."""
        return iter([*self._tables.member_indexes.items()])

    # -- Remembered files ---------------------------------------------------------------------

    def remembered(self) -> Iterator[RememberedFile]:
        """As `ObjectStore.remembered`."""
        with self._tables.lock:
            return reversed(list(self._tables.remembered.values()))

    def recall(self, path: bytes) -> RememberedFile | None:
        """As `ObjectStore.recall`."""
        return self._tables.remembered.get(path)

    # -- Writing ------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Committed:
        """As `ObjectStore.commit`."""
        with self._tables.lock:
            committed = commit(self._tables, batch, int(self._clock()))
            if (batch.objects or batch.records) and not batch.publishes:
                self._rely()
        return committed

    def set_name(self, update: NameUpdate) -> NameRecord:
        """As `Editable.set_name`."""
        return self.commit(Batch(names=[update])).names[0]

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """As `Editable.upcoming`."""
        with self._tables.lock:
            newest, last = self.version(name, 0), self._tables.highest_removed.get(name, 0)
        return next_number(newest, last), newest

    @property
    def pushes(self) -> MemoryPushes:
        """As `WritableStore.pushes`."""
        return MemoryPushes(self._tables, self._clock)

    @property
    def jobs(self) -> MemoryJobs:
        """As `WritableStore.jobs`."""
        return MemoryJobs(self._tables, self._clock)

    # -- The trash ----------------------------------------------------------------------------

    def removal(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.removal`."""
        with self._tables.lock:
            return trash.removal(self._tables, self._without_prefixes(refs))

    def remove(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.remove`."""
        with self._tables.lock:
            refs = self._without_prefixes(refs)
            return trash.remove(self._tables, refs, int(self._clock()))

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.restore`."""
        with self._tables.lock:
            return trash.restore(self._tables, refs)

    def removed(self) -> list[Removed]:
        """As `Editable.removed`."""
        with self._tables.lock:
            return trash.list_trash(self._tables)

    def _without_prefixes(self, refs: Sequence[Ref]) -> list[Ref]:
        return [ref if ref.prefix is None else Ref(manifest=self.resolve(ref)) for ref in refs]

    def collection(
        self, *, window: float, dry_run: bool = False, drop_pushes: bool = False
    ) -> AbstractContextManager[MemoryCollection]:
        """As `CollectableStore.collection`."""
        begin = partial(MemoryCollection, self._tables, now=int(self._clock()))
        return closing(begin(window=window, dry_run=dry_run, drop_pushes=drop_pushes))
