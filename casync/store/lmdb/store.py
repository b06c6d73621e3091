"""The store on disk: objects in segments, and segments and all rows in LMDB.

A process may open a store once; many processes may share one. Reads are safe for threads, writes
take turns.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Self

from casync.errors import DamagedStoreError
from casync.fs.paths import StrPath, as_path
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MAP_BYTES, MIB
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
from casync.store.lmdb import creation
from casync.store.lmdb.backup import backup, remove_leftovers
from casync.store.lmdb.collection import LmdbCollection
from casync.store.lmdb.commit import Writer
from casync.store.lmdb.contents import LmdbContents
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.jobs import LmdbJobs
from casync.store.lmdb.jobs.upkeep import check_jobs
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.member_indexes import check_index_rows, each_index, find_index
from casync.store.lmdb.meta import read_meta
from casync.store.lmdb.name_scan import each_name, name_versions
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.pushes import LmdbPushes
from casync.store.lmdb.quota import set_quota
from casync.store.lmdb.roots import NAME_TABLES
from casync.store.lmdb.rows import (
    FORMAT,
    decode_file,
    decode_manifest_row,
    decode_name,
    file_key,
    index_prefix,
    name_key,
    path_key,
    version_key,
)
from casync.store.lmdb.scan import scan, scan_back, scan_keys
from casync.store.lmdb.tokens import Tokens
from casync.store.lmdb.trash import Trash
from casync.store.lmdb.trash_rows import last_removed
from casync.store.lmdb.usage import StoreUsage, measure
from casync.store.lmdb.writer_session import Session
from casync.store.names import next_number, resolve

__all__ = ["LmdbStore"]


class LmdbStore:
    """An `ObjectStore` in a folder. Use `open`, and `close` or a with block."""

    commits_at_once = 1

    def __init__(self, environment: Environment, warnings: Sequence[str] = ()) -> None:
        self._environment = environment
        self._objects = self._open_objects()
        self._session = self._open_session()
        self._store_id = self._check_format()
        if environment.writable:
            environment.add_missing_databases()
        self._clock: Callable[[], float] = time.time
        self.path, self.place = environment.path, str(environment.path)
        self.warnings = [*warnings, *environment.warnings]

    @classmethod
    def open(
        cls,
        path: StrPath,
        *,
        create: bool = False,
        read_only: bool = False,
        allow_network_fs: bool = False,
        map_bytes: int = MAP_BYTES,
    ) -> Self:
        """Opens the store in the folder `path`.

        Args:
            path: The folder.
            create: Create an empty store if there is none.
            read_only: Never write; works on a read-only file system, too.
            allow_network_fs: Create one even where LMDB is not safe between machines.
            map_bytes: Address space to reserve. All openers should agree.

        Raises:
            NoStoreError: There is none, and `create` is false.
            UnsupportedError: It is newer than this program, or its file system is not safe.
            DamagedStoreError: It is damaged.
            LockedError: This process already has it open.
            WriteError, DeniedError, NoSpaceError: The folder cannot be written or read.
        """
        warnings: list[str] = []
        if not creation.store_exists(path := as_path(path)):
            if read_only or not create:
                raise creation.no_store(path)
            warnings = creation.create(path, map_bytes=map_bytes, allow_network_fs=allow_network_fs)
        elif not read_only:
            creation.finish(path)
        environment = Environment(path, read_only=read_only, map_bytes=map_bytes)
        try:
            if not read_only:
                remove_leftovers(path)
            return cls(environment, warnings)
        except BaseException:
            environment.close()
            raise

    def _open_objects(self) -> Objects:
        return Objects(self._environment.databases, self._environment.reading)

    def _open_session(self) -> Session:
        return Session(self._environment, self._objects)

    def _check_format(self) -> bytes:
        """The store's id, after checking that this is a store of the supported format."""
        environment = self._environment
        missing = environment.missing
        if "meta" not in missing:
            with environment.reading() as txn:
                meta = read_meta(txn, environment.databases["meta"], environment.path)
            if meta.format == FORMAT and meta.store_id and not missing:
                return meta.store_id
            missing = missing or ["its format or its id"]
        raise DamagedStoreError(
            f"store {environment.path} lacks {', '.join(missing)}", next_step=REBUILD
        )

    @property
    def store_id(self) -> str:
        """The UUID that the store got at its creation."""
        return str(uuid.UUID(bytes=self._store_id))

    @property
    def writable(self) -> bool:
        """Whether the store is open for writing."""
        return self._environment.writable

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the store after running reads of other threads. May be called again."""
        self._session.close()
        self._environment.close()

    def expect_commits(self) -> None:
        """As `ObjectStore.expect_commits`: a commit on disk is fast."""

    def stage(self, batch: Batch) -> None:
        """As `ObjectStore.stage`: a commit writes all by itself."""

    def refresh(self) -> None:
        """As `ObjectStore.refresh`: each look into the store does so."""

    # -- Objects ------------------------------------------------------------------------------

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        return self._objects.get(kind, ids)

    def plain_chunks(self, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """As `ChunkReads.plain_chunks`."""
        return self._objects.plain_chunks(ids)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._objects.stat(kind, ids)

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """As `ObjectStore.known`."""
        return (self._session if self.writable else self._objects).known(kind, ids)

    def objects(self, kind: Kind) -> Iterator[ObjectId]:
        """As `ObjectStore.objects`."""
        for key in scan_keys(self._environment, "index", prefix=index_prefix(kind)):
            yield ManifestId(key[1:])

    by_place = objects  # on a disk ids are as good an order as any

    # -- Manifests and names ------------------------------------------------------------------

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return self.full_from(ManifestId(b""))

    def full_from(self, first: ManifestId) -> Iterator[ManifestRow]:
        """The full manifests with ids from `first` on, ordered by id."""
        for key, value in scan(self._environment, "manifests", first=first):
            row = decode_manifest_row(key, value)
            if row.state is ManifestState.FULL:
                yield row

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        value = self._get("manifests", ident)
        return decode_manifest_row(ident, value) if value is not None else None

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        return each_name(self._environment, prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        return name_versions(self._environment, name)

    def version(self, name: Name, number: int) -> NameRecord | None:
        """One version of a name; number 0 is the newest."""
        row = ("name_log", version_key(name, number)) if number else ("names", name_key(name))
        value = self._get(*row)
        return decode_name(value) if value is not None else None

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        return resolve(ref, self)

    def member_index(self, archive: bytes) -> Content | None:
        """As `IndexedStore.member_index`."""
        return find_index(self._environment, archive)

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """As `IndexLister.member_indexes`."""
        return each_index(self._environment)

    def remembered(self) -> Iterator[RememberedFile]:
        """As `ObjectStore.remembered`."""
        for _, value in scan_back(self._environment, "seeds", prefix=file_key(0)[:1]):
            yield decode_file(value)

    def recall(self, path: bytes) -> RememberedFile | None:
        """As `ObjectStore.recall`."""
        environment = self._environment
        with environment.reading() as txn:
            seeds = environment.databases["seeds"]
            number = txn.get(path_key(path), db=seeds)
            value = None if number is None else txn.get(b"s" + bytes(number), db=seeds)
            file = None if value is None else decode_file(value)
        return file if file and file.path == path else None

    # -- Writing ------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Committed:
        """As `ObjectStore.commit`: one transaction, on disk when this returns."""
        pending, now = Pending.of(batch.objects, batch.records), int(self._clock())
        self._stage(pending)
        return self._session.write(
            lambda txn: self._writer(txn, now).commit(batch, pending),
            need=pending.size + 2 * MIB,
            publishes=batch.publishes or (batch.job is None and not pending.keys),
        )

    def _stage(self, pending: Pending) -> None:
        """What can be done of a commit beside others."""

    def _writer(self, txn: Txn, now: int) -> Writer:
        return Writer(txn, self._environment, self._store_id, now)

    def set_name(self, update: NameUpdate) -> NameRecord:
        """As `Editable.set_name`."""
        return self.commit(Batch(names=[update])).names[0]

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """As `Editable.upcoming`."""
        with self._environment.reading() as txn:
            last = last_removed(txn, self._environment.databases["trash"], name)
        newest = self.version(name, 0)
        return next_number(newest, last), newest

    def set_quota(self, limit: int) -> None:
        """As `quota.set_quota`."""
        set_quota(self._environment, limit)

    @property
    def contents(self) -> LmdbContents:
        """As `CopyableStore.contents`."""
        return LmdbContents(self._environment, self._session, self._writer, self._clock)

    @property
    def tokens(self) -> Tokens:
        """The tokens that admit clients to a server."""
        return Tokens(self._environment, self._clock)

    @property
    def pushes(self) -> LmdbPushes:
        """As `WritableStore.pushes`."""
        return LmdbPushes(self._environment, self._objects, self._store_id, self._clock)

    @property
    def jobs(self) -> LmdbJobs:
        """As `WritableStore.jobs`."""
        return LmdbJobs(self._environment, self._store_id, self._clock, self.names)

    # -- The trash ----------------------------------------------------------------------------

    def removal(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.removal`."""
        refs = self._without_prefixes(refs)
        self._environment.check_pages(NAME_TABLES, free=True)  # as `remove` would
        with self._environment.reading() as txn:
            return self._trash(txn).plan(refs)

    def remove(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.remove`."""
        refs = self._without_prefixes(refs)
        self._environment.check_pages(NAME_TABLES)

        def write(txn: Txn) -> Removal:
            planned = self._trash(txn).plan(refs)
            self._trash(txn).remove(planned)
            return planned

        return self._environment.write(write, need=MIB)

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.restore`."""
        self._environment.check_pages(NAME_TABLES)
        return self._environment.write(lambda txn: self._trash(txn).restore(refs), need=MIB)

    def removed(self) -> list[Removed]:
        """As `Editable.removed`."""
        self._environment.check_pages(NAME_TABLES)
        with self._environment.reading() as txn:
            return self._trash(txn).listing()

    def _trash(self, txn: Txn) -> Trash:
        return Trash(txn, self._environment.databases, int(self._clock()))

    def _without_prefixes(self, refs: Sequence[Ref]) -> list[Ref]:
        return [ref if ref.prefix is None else Ref(manifest=self.resolve(ref)) for ref in refs]

    def collection(
        self, *, window: float, dry_run: bool = False, drop_pushes: bool = False
    ) -> AbstractContextManager[LmdbCollection]:
        """As `CollectableStore.collection`."""
        begin = partial(LmdbCollection, self._environment, self._store_id, now=int(self._clock()))
        return closing(begin(window=window, dry_run=dry_run, drop_pushes=drop_pushes))

    def watch(self, watcher: Callable[[bool], None]) -> None:
        """As `Environment.watch`."""
        self._environment.watch(watcher)

    def reader_check(self) -> int:
        """Clears the slots of dead readers; returns their number."""
        return self._environment.reader_check()

    def check(self) -> None:
        """Checks every page of every tree by plain reads, and rows of jobs and member indexes.

        Takes a second per million objects.

        Raises:
            DamagedStoreError: A page or a row is damaged.
        """
        self._environment.check_pages(everything=True)
        check_jobs(self._environment)
        check_index_rows(self._environment)

    def usage(self, *, objects: bool = True) -> StoreUsage:
        """As `casync.store.lmdb.usage.measure`."""
        return measure(self._environment, now=int(self._clock()), objects=objects)

    def backup(self, folder: Path, *, advance: Callable[[int], None] = lambda _: None) -> None:
        """Copies the store as it is now into another folder, also while it is in use.

        Raises:
            CasyncError: As `casync.store.lmdb.backup.backup`.
        """
        backup(self._environment, folder, advance=advance)

    def _get(self, database: str, key: bytes) -> bytes | None:
        with self._environment.reading() as txn:
            value = txn.get(key, db=self._environment.databases[database])
            return bytes(value) if value is not None else None
