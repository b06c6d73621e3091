"""One collection of the store on disk, step by step.

The order of steps makes it safe beside writers in other processes (docs/adr/0008): start a new
generation; find the oldest generation that a living writer relies on; let the caller mark; then
sweep, which checks writers and rows again in each deleting transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from casync.errors import LockedError, WriteError
from casync.ids import ChunkId, Kind, ManifestId
from casync.objects.node import Content
from casync.objects.record import RECORD_BYTES
from casync.store.base import ManifestState
from casync.store.collectable import Dead, IsMarked, Swept
from casync.store.lmdb.byte_lock import COLLECTOR_BYTE, ByteLocks
from casync.store.lmdb.commit import forget_file
from casync.store.lmdb.compaction import MAX_MOVED_BYTES, mostly_dead, move_records
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.gc_totals import GcTotals, add_collection
from casync.store.lmdb.jobs.upkeep import half_fetched_chunks, sweep_jobs
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.member_indexes import drop_indexes, each_index
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.push_rows import decode_push, open_pushes
from casync.store.lmdb.quota import recount
from casync.store.lmdb.roots import all_rows, check_roots
from casync.store.lmdb.rows import (
    META_GENERATION,
    decode_file,
    decode_index,
    decode_manifest_row,
    decode_meta_number,
    decode_number,
    encode_number,
    index_key,
    index_prefix,
)
from casync.store.lmdb.scan import scan
from casync.store.lmdb.sweep import sweep
from casync.store.lmdb.trash_rows import (
    REMOVED_MANIFESTS,
    REMOVED_VERSIONS,
    decode_removed_manifest,
    decode_removed_version,
)
from casync.store.trash import is_over

__all__ = ["LmdbCollection"]

_FIRST_DELETED: Final = 16
_MOST_DELETED: Final = 4096
"""Rows that one transaction deletes. The first transactions delete few: on a full disk only pages
that earlier transactions freed are available, and each transaction frees more."""

_NEED: Final = 256 * 1024


class LmdbCollection:
    """A `Collection`. Holds its lock until `close`.

    Args:
        environment: The store's environment.
        store_id: The 16 bytes of the store's UUID.
        now: Seconds since 1970.
        window: Seconds that removed manifests and names are kept.
        dry_run: Only read; works on a read-only store.
        drop_pushes: End all pushes.

    Raises:
        DamagedStoreError: The store is not sound. Nothing was changed.
        LockedError: Another collection is running.
        NoSpaceError, WriteError: The store cannot be written.
    """

    def __init__(
        self,
        environment: Environment,
        store_id: bytes,
        *,
        now: int,
        window: float,
        dry_run: bool,
        drop_pushes: bool,
    ) -> None:
        self._environment = environment
        self._store_id = store_id
        self._now = now
        self._window = window
        self._dry_run = dry_run
        self._drop_pushes = drop_pushes
        self._batch = _FIRST_DELETED
        self._doomed: set[ManifestId] = set()
        self.emptied = 0
        self.held = Swept()
        self._locks = _locks(environment, dry_run=dry_run)
        try:
            environment.check_pages(everything=True)
            if dry_run:
                with environment.reading() as txn:
                    self._safe = self._begin(txn)
            else:
                self._safe = self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Releases the lock. May be called again."""
        if self._locks is not None:
            self._locks.close()

    # -- Beginning ----------------------------------------------------------------------------

    def _start(self) -> int:
        """Carries out `_begin`."""
        return self._environment.write(self._begin, need=_NEED)

    def _begin(self, txn: Txn) -> int:
        """Starts a generation and drops roots; returns the one below which no object is in use."""
        databases = self._environment.databases
        check_roots(txn, databases)
        today = read_generation(txn, databases["meta"]) + 1
        trash = self._outdated(txn, today)
        removed = {ManifestId(key[1:]) for key in trash if key[:1] == REMOVED_MANIFESTS}
        files = [decode_file(value) for key, value in self._rows(txn, "seeds") if key[:1] == b"s"]
        outlines = self._outlines(txn) - {ManifestId(file.manifest) for file in files}
        self._doomed = removed | outlines
        self.emptied = len(trash)
        if not self._dry_run:
            for key in trash:
                txn.delete(key, db=databases["trash"])
            for ident in outlines:
                txn.delete(ident, db=databases["manifests"])
            for file in files:
                if file.manifest in removed and not self._is_here(txn, file.manifest):
                    forget_file(txn, databases["seeds"], file.path)
            txn.put(META_GENERATION, encode_number(today), db=databases["meta"])
        self.pushes = open_pushes(self._rows(txn, "pushes"), self._now)
        if self._drop_pushes and not self._dry_run:
            for push in self.pushes:
                txn.delete(push.id, db=databases["pushes"])
        self._today = today
        self._pushed = today if self._drop_pushes else self._push_floor(txn, today)
        return min(self._pushed, self._writer_floor(txn, today))

    def _outdated(self, txn: Txn, today: int) -> list[bytes]:
        """The keys of trash rows whose window has passed."""
        keys: list[bytes] = []
        wanted: set[bytes] = set()  # by versions that stay, if the clock was set back
        for key, value in reversed(self._rows(txn, "trash")):  # versions before manifests
            if key[:1] == REMOVED_MANIFESTS:
                manifest = decode_removed_manifest(value)
                removed, generation = manifest.removed, manifest.generation
            elif key[:1] == REMOVED_VERSIONS:
                version = decode_removed_version(value)
                removed, generation = version.removed, version.generation
            else:
                continue
            if key[1:] in wanted:
                continue
            if is_over(removed, generation, now=self._now, today=today, window=self._window):
                keys.append(key)
            elif key[:1] == REMOVED_VERSIONS:
                wanted.add(version.record.manifest)
        return keys

    def _outlines(self, txn: Txn) -> set[ManifestId]:
        rows = (decode_manifest_row(key, value) for key, value in self._rows(txn, "manifests"))
        return {row.id for row in rows if row.state is ManifestState.OUTLINE}

    def _is_here(self, txn: Txn, ident: bytes) -> bool:
        return txn.get(ident, db=self._environment.databases["manifests"]) is not None

    def _rows(self, txn: Txn, database: str) -> list[tuple[bytes, bytes]]:
        return all_rows(txn, self._environment.databases, database)

    def _floor(self, txn: Txn, today: int) -> int:
        """The lowest generation that a live writer or push relies on. Deletes rows of dead ones."""
        return min(self._writer_floor(txn, today), self._push_floor(txn, today))

    def _writer_floor(self, txn: Txn, today: int) -> int:
        floor = today
        for key, value in self._rows(txn, "writers"):
            if self._locks is None or self._locks.is_taken(decode_number(key)):
                floor = min(floor, decode_meta_number(value))
            elif not self._dry_run:
                txn.delete(key, db=self._environment.databases["writers"])
        return floor

    def _push_floor(self, txn: Txn, today: int) -> int:
        floor = today
        for key, value in self._rows(txn, "pushes"):
            push = decode_push(value)
            if push.lives(self._now):
                floor = min(floor, push.floor)
            elif not self._dry_run:
                txn.delete(key, db=self._environment.databases["pushes"])
        return floor

    # -- Marking ------------------------------------------------------------------------------

    def roots(self) -> list[ManifestId]:
        """As `Collection.roots`. One transaction sees all, so a manifest being restored counts."""
        with self._environment.reading() as txn:
            here = [ManifestId(key) for key, _ in self._rows(txn, "manifests")]
            trash = [key for key, _ in self._rows(txn, "trash")]
        here += [ManifestId(key[1:]) for key in trash if key[:1] == REMOVED_MANIFESTS]
        return [ident for ident in here if not self._dry_run or ident not in self._doomed]

    # -- Sweeping -----------------------------------------------------------------------------

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """As `Collection.member_indexes`."""
        return each_index(self._environment)

    def half_fetched(self) -> Iterator[list[ChunkId]]:
        """As `Collection.half_fetched`."""
        return half_fetched_chunks(self._environment)

    def drop_indexes(self, archives: Sequence[bytes]) -> None:
        """As `Collection.drop_indexes`."""
        self._check_wet()
        drop_indexes(self._environment, archives)

    def dead(self, is_marked: IsMarked) -> Iterator[Dead]:
        """As `Collection.dead`."""
        for kind in (Kind.MANIFEST, Kind.NODE, Kind.CHUNK):
            for key, value in scan(self._environment, "index", prefix=index_prefix(kind)):
                row, ident = decode_index(value), ManifestId(key[1:])
                held = self._pushed <= row.generation < self._today
                if not (held or row.generation < self._safe) or is_marked(kind, ident):
                    continue
                size = RECORD_BYTES + row.stored
                if held:
                    self.held = Swept(self.held.objects + 1, self.held.stored + size)
                else:
                    yield Dead(kind, ident, row.length, size)

    def delete(self, dead: Sequence[Dead]) -> Swept:
        """As `Collection.delete`."""
        self._check_wet()
        swept: list[Swept] = []
        done = 0
        while done < len(dead):
            keys = sorted(index_key(d.kind, d.id) for d in dead[done : done + self._batch])
            done += self._batch
            self._batch = min(2 * self._batch, _MOST_DELETED)
            swept.append(self._delete(keys))
        return Swept.total(swept)

    def _delete(self, keys: list[bytes]) -> Swept:
        databases = self._environment.databases

        def write(txn: Txn) -> Swept:
            return sweep(txn, databases, keys, self._floor(txn, self._safe))

        return self._environment.write(write, need=_NEED)

    def compact(self) -> int:
        """As `Collection.compact`."""
        self._check_wet()
        moved = 0
        group: list[int] = []
        size = 0
        for number, live in mostly_dead(self._environment):
            if group and size + live > MAX_MOVED_BYTES:
                moved += self._move(group)
                group, size = [], 0
            group.append(number)
            size += live
        moved += self._move(group) if group else 0
        self._environment.write(lambda txn: recount(txn, self._environment.databases), need=_NEED)
        return moved

    def sweep_jobs(self) -> int:
        """As `Collection.sweep_jobs`."""
        self._check_wet()
        return sweep_jobs(self._environment, self._now)

    def note(self, swept: Swept, seconds: float) -> None:
        """As `Collection.note`."""
        self._check_wet()
        meta = self._environment.databases["meta"]
        one = GcTotals(1, swept.objects, swept.stored, seconds, self._now + round(seconds))
        self._environment.write(lambda txn: add_collection(txn, meta, one), need=_NEED)

    def _move(self, numbers: list[int]) -> int:
        databases = self._environment.databases
        return self._environment.write(
            lambda txn: move_records(txn, databases, self._store_id, numbers),
            need=2 * MAX_MOVED_BYTES,
        )

    def _check_wet(self) -> None:
        if self._dry_run:
            raise WriteError("a dry run of a collection deletes nothing")


def _locks(environment: Environment, *, dry_run: bool) -> ByteLocks | None:
    """The lock file, locked unless `dry_run`; None if a dry run cannot open it."""
    try:
        locks = ByteLocks(environment.path)
    except OSError as error:
        if dry_run:
            return None
        raise translate(error, environment.path, need=0) from error
    if not dry_run and not locks.take(COLLECTOR_BYTE):
        locks.close()
        raise LockedError(f"another collection of {environment.path} is running")
    return locks
