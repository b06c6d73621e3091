"""One collection of a store in memory. Its steps follow those of the store on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from casync.errors import LockedError, WriteError
from casync.ids import ChunkId, Kind, ManifestId
from casync.objects.node import Content
from casync.store.base import ManifestState
from casync.store.collectable import Dead, IsMarked, Swept
from casync.store.memory.jobs import sweep_jobs
from casync.store.memory.tables import RemovedRow, RemovedVersionRow, Tables
from casync.store.trash import is_over

__all__ = ["MemoryCollection"]


class MemoryCollection:
    """A `Collection`. No other one can begin until `close`.

    Args:
        tables: The store.
        now: Seconds since 1970.
        window: Seconds for which the trash keeps its entries.
        dry_run: Only look.
        drop_pushes: End all pushes.

    Raises:
        LockedError: Another collection is running.
    """

    def __init__(
        self, tables: Tables, *, now: int, window: float, dry_run: bool, drop_pushes: bool
    ) -> None:
        self._tables = tables
        self._now = now
        self._window = window
        self._dry_run = dry_run
        self._drop_pushes = drop_pushes
        self.held = Swept()
        with tables.lock:
            if tables.collecting and not dry_run:
                raise LockedError("another collection of this store is running")
            tables.collecting = tables.collecting or not dry_run
            self._begin(tables.generation + 1)

    def close(self) -> None:
        """Ends the collection. May be called twice."""
        if not self._dry_run:
            self._tables.collecting = False

    def _begin(self, today: int) -> None:
        """Begins a generation, and drops the roots whose retention time is over."""
        tables = self._tables
        removed = {i for i, row in tables.removed_manifests.items() if self._is_over(row, today)}
        versions = [k for k, row in tables.removed_versions.items() if self._is_over(row, today)]
        seeds = {ManifestId(file.manifest) for file in tables.remembered.values()}
        outlines = {
            row.id
            for row in tables.manifests.values()
            if row.state is ManifestState.OUTLINE and row.id not in seeds
        }
        self._doomed = removed | outlines
        self.emptied = len(removed) + len(versions)
        self.pushes = tables.open_pushes(self._now)
        if self._drop_pushes and not self._dry_run:
            tables.pushes.clear()
        self._today = today
        self._pushed = today if self._drop_pushes else tables.push_floor(self._now, today)
        self._safe = min(self._pushed, today if tables.writer is None else tables.writer)
        if self._dry_run:
            return
        for ident in removed:
            del tables.removed_manifests[ident]
        for key in versions:
            del tables.removed_versions[key]
        for ident in outlines:
            del tables.manifests[ident]
        for file in list(tables.remembered.values()):
            if file.manifest in removed and file.manifest not in tables.manifests:
                del tables.remembered[file.path]
        tables.generation = today

    def _is_over(self, row: RemovedRow | RemovedVersionRow, today: int) -> bool:
        return is_over(row.removed, row.generation, now=self._now, today=today, window=self._window)

    def roots(self) -> list[ManifestId]:
        """As `Collection.roots`."""
        with self._tables.lock:
            here = sorted({*self._tables.manifests, *self._tables.removed_manifests})
        return [ident for ident in here if not self._dry_run or ident not in self._doomed]

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """As `Collection.member_indexes`."""
        with self._tables.lock:
            return iter(sorted(self._tables.member_indexes.items()))

    def half_fetched(self) -> Iterator[list[ChunkId]]:
        """As `Collection.half_fetched`."""
        jobs = self._tables.jobs
        with self._tables.lock:
            of_jobs = [jobs.parts[ident] for ident in jobs.parts if ident in jobs.rows]
            parts = [part for job in of_jobs for of_object in job.values() for part in of_object]
        return (part.ids() for part in parts)

    def drop_indexes(self, archives: Sequence[bytes]) -> None:
        """As `Collection.drop_indexes`."""
        if self._dry_run:
            raise WriteError("a dry run of a collection deletes nothing")
        with self._tables.lock:
            for archive in archives:
                self._tables.member_indexes.pop(archive, None)

    def dead(self, is_marked: IsMarked) -> Iterator[Dead]:
        """As `Collection.dead`."""
        order = (Kind.MANIFEST, Kind.NODE, Kind.CHUNK)
        with self._tables.lock:
            found = sorted(self._tables.objects.items(), key=lambda f: (order.index(f[0][0]), f[0]))
        for (kind, ident), packed in found:
            generation = self._tables.generations.get((kind, ident), 0)
            held = self._pushed <= generation < self._today
            if not (held or generation < self._safe) or is_marked(kind, ident):
                continue
            if held:
                self.held = Swept(self.held.objects + 1, self.held.stored + len(packed.payload))
            else:
                yield Dead(kind, ident, packed.length, len(packed.payload))

    def delete(self, dead: Sequence[Dead]) -> Swept:
        """As `Collection.delete`."""
        if self._dry_run:
            raise WriteError("a dry run of a collection deletes nothing")
        tables = self._tables
        with tables.lock:
            floor = tables.floor(self._now, self._safe)
            keys = {
                (each.kind, each.id): each.stored
                for each in dead
                if tables.generations.get((each.kind, each.id), floor) < floor
            }
            for key in keys:
                del tables.objects[key], tables.generations[key]
        return Swept(len(keys), sum(keys.values()))

    def compact(self) -> int:
        """As `Collection.compact`: there are no segments."""
        return 0

    def sweep_jobs(self) -> int:
        """As `Collection.sweep_jobs`."""
        with self._tables.lock:
            return sweep_jobs(self._tables, self._now)

    def note(self, swept: Swept, seconds: float) -> None:
        """As `Collection.note`; a store in memory has no statistics."""
