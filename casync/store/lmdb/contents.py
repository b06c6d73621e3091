"""The rows of a store, read at one moment, and rows of another store that are added to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import lmdb

from casync.errors import DamagedStoreError, MalformedError, NoObjectError
from casync.ids import Kind, ManifestId
from casync.jobs.origin import decode_origin
from casync.limits import MIB
from casync.names.name import Name, NameRecord
from casync.store.base import ManifestState, Removed
from casync.store.copy_rules import lacking
from casync.store.copyable import NameVersions, PlacedObject, RowsPart, TrashedRow
from casync.store.lmdb.commit import Writer
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.commit import put_origins
from casync.store.lmdb.member_indexes import decode_indexes, put_indexes
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.quota import read_quota
from casync.store.lmdb.renew import renew
from casync.store.lmdb.roots import all_rows, check_names
from casync.store.lmdb.rows import (
    decode_index,
    decode_manifest_row,
    decode_name,
    decode_number,
    index_key,
    index_prefix,
    name_key,
    number_key,
    version_key,
)
from casync.store.lmdb.scan import scan
from casync.store.lmdb.trash_rows import (
    LAST_REMOVED,
    REMOVED_MANIFESTS,
    REMOVED_VERSIONS,
    RemovedManifest,
    RemovedVersion,
    decode_removed_manifest,
    decode_removed_version,
    encode_removed,
    last_key,
    last_removed,
    removed_key,
    removed_version_key,
    removed_versions_prefix,
)
from casync.store.lmdb.writer_session import Session

__all__ = ["LmdbContents"]

_Databases = Mapping[str, lmdb._Database]


class LmdbContents:
    """As `casync.store.copyable.StoreContents`.

    Args:
        environment: The store's environment.
        session: The session of its writer.
        writer: Makes the writer of a transaction, at seconds since 1970.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        environment: Environment,
        session: Session,
        writer: Callable[[Txn, int], Writer],
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._session = session
        self._writer = writer
        self._clock = clock

    def read(self) -> RowsPart:
        """As `StoreContents.read`."""
        databases = self._environment.databases
        with self._environment.reading() as txn:
            check_names(txn, databases)
            return _all_rows(txn, databases)

    def about(self, part: RowsPart) -> RowsPart:
        """As `StoreContents.about`."""
        with self._environment.reading() as txn:
            return _rows_about(txn, self._environment.databases, part)

    def placed(self, kind: Kind) -> Iterator[PlacedObject]:
        """As `StoreContents.placed`."""
        for key, value in scan(self._environment, "index", prefix=index_prefix(kind)):
            row = decode_index(value)
            yield PlacedObject(ManifestId(key[1:]), row.segment, row.offset, row.stored)

    def put(self, part: RowsPart) -> RowsPart:
        """As `StoreContents.put`."""
        now = int(self._clock())

        def write(txn: Txn) -> RowsPart:
            added = lacking(part, _rows_about(txn, self._environment.databases, part))
            self._put(txn, self._writer(txn, now), added)
            return added

        return self._session.write(write, need=4 * MIB, publishes=True)

    def adopt(
        self,
        manifests: Sequence[tuple[ManifestId, ManifestState, int]],
        names: Sequence[NameRecord],
    ) -> list[NameRecord]:
        """Takes over manifests and whole histories of names that were found in a damaged store.

        Args:
            manifests: As in `Batch`; their objects are in this store.
            names: Versions with their numbers, those of each name in order.

        Returns:
            The versions of names that this store lacked.

        Raises:
            NoObjectError, NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        now = int(self._clock())
        return self._session.write(
            lambda txn: self._writer(txn, now).adopt(manifests, names), need=2 * MIB, publishes=True
        )

    @property
    def quota(self) -> int:
        """As `StoreContents.quota`."""
        with self._environment.reading() as txn:
            found = read_quota(txn, self._environment.databases["meta"])
        return found.limit if found is not None else 0

    def _put(self, txn: Txn, writer: Writer, part: RowsPart) -> None:
        databases = self._environment.databases
        keys = sorted(index_key(Kind.MANIFEST, ident) for ident in part.roots)
        here = renew(txn, databases, keys)
        for key in keys:
            if key not in here:
                raise NoObjectError(f"manifest {key[1:].hex()} is not here")
        added = [record for known in part.names.values() for record in known.versions]
        newest = [
            record
            for name, known in part.names.items()
            if known.versions and (record := _newest(txn, databases, name)) is not None
        ]
        writer.append(Pending.of([]), added)
        writer.put_manifests(part.manifests.values())
        writer.put_names(sorted([*added, *newest], key=lambda record: record.version))
        _put_trash(txn, databases, part)
        put_origins(txn, databases, part.origins.items())
        put_indexes(txn, databases, part.indexes.items())


def _all_rows(txn: Txn, databases: _Databases) -> RowsPart:
    versions: dict[str, list[NameRecord]] = defaultdict(list)
    removed: dict[str, list[Removed]] = defaultdict(list)
    lasts: dict[bytes, int] = {}
    part = RowsPart()
    for _, value in all_rows(txn, databases, "name_log"):
        record = decode_name(value)
        versions[record.name].append(record)
    for key, value in all_rows(txn, databases, "trash"):
        if key[:1] == REMOVED_VERSIONS:
            gone = _removed(value)
            assert gone.record is not None
            removed[gone.record.name].append(gone)
        elif key[:1] == REMOVED_MANIFESTS:
            part.trash[ManifestId(key[1:])] = _trashed(value)
        else:
            lasts[key[1:]] = decode_number(value)
    for key, value in all_rows(txn, databases, "manifests"):
        row = decode_manifest_row(key, value)
        if row.state is ManifestState.FULL:
            part.manifests[row.id] = row
    for name in sorted({*versions, *removed}):
        last = lasts.pop(last_key(name)[1:], 0)
        part.names[name] = NameVersions(tuple(versions[name]), tuple(removed[name]), last)
        _put_origin(txn, databases, part, name)
    part.retired = lasts
    part.indexes = dict(decode_indexes(all_rows(txn, databases, "member_indexes")))
    return part


def _rows_about(txn: Txn, databases: _Databases, part: RowsPart) -> RowsPart:
    found = RowsPart()
    for name in part.names:
        prefix = removed_versions_prefix(name)
        found.names[name] = NameVersions(
            tuple(record for record in _versions(txn, databases, name) if record.name == name),
            tuple(_removed(value) for _, value in _below(txn, databases, "trash", prefix)),
            _last(txn, databases, last_key(name)),
        )
        _put_origin(txn, databases, found, name)
    for ident in part.roots:
        value = _get(txn, databases, "manifests", ident)
        row = decode_manifest_row(ident, value) if value is not None else None
        if row is not None and row.state is ManifestState.FULL:
            found.manifests[ident] = row
        elif (gone := _get(txn, databases, "trash", removed_key(ident))) is not None:
            found.trash[ident] = _trashed(gone)
    found.retired = {key: _last(txn, databases, LAST_REMOVED + key) for key in part.retired}
    rows = [(key, _get(txn, databases, "member_indexes", key)) for key in part.indexes]
    found.indexes = dict(decode_indexes((key, value) for key, value in rows if value is not None))
    return found


def _get(txn: Txn, databases: _Databases, database: str, key: bytes) -> bytes | None:
    """A row; None, too, if the store lacks the database."""
    if database not in databases:
        return None
    value = txn.get(key, db=databases[database])
    return bytes(value) if value is not None else None


def _last(txn: Txn, databases: _Databases, key: bytes) -> int:
    value = _get(txn, databases, "trash", key)
    return decode_number(value) if value is not None else 0


def _versions(txn: Txn, databases: _Databases, name: str) -> Iterator[NameRecord]:
    size = len(version_key(name, 0))
    for key, value in _below(txn, databases, "name_log", name_key(name) + b"\0"):
        if len(key) == size:
            yield decode_name(value)


def _newest(txn: Txn, databases: _Databases, name: str) -> NameRecord | None:
    value = _get(txn, databases, "names", name_key(name))
    return decode_name(value) if value is not None else None


def _below(
    txn: Txn, databases: _Databases, database: str, prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    cursor = txn.cursor(databases[database]) if database in databases else None
    if cursor is not None and cursor.set_range(prefix):
        for key, value in cursor.iternext():
            if bytes(key[: len(prefix)]) != prefix:
                return
            yield bytes(key), bytes(value)


def _removed(value: bytes) -> Removed:
    gone = decode_removed_version(value)
    return Removed(ManifestId(gone.record.manifest), gone.record, gone.removed)


def _trashed(value: bytes | memoryview) -> TrashedRow:
    gone = decode_removed_manifest(value)
    return TrashedRow(gone.length, gone.created, gone.removed)


def _put_origin(txn: Txn, databases: _Databases, part: RowsPart, name: str) -> None:
    value = _get(txn, databases, "origins", name_key(name))
    with suppress(MalformedError, DamagedStoreError):  # as good as none
        if value is not None:
            part.origins[Name(name)] = decode_origin(value)


def _put_trash(txn: Txn, databases: _Databases, part: RowsPart) -> None:
    """Entries are as old as they were, but stay for two collections of this store."""
    trash = databases["trash"]
    generation = read_generation(txn, databases["meta"])
    for ident, row in part.trash.items():
        manifest = RemovedManifest(row.length, row.created, row.removed, generation)
        txn.put(removed_key(ident), encode_removed(manifest), db=trash)
    for name, known in part.names.items():
        for gone in known.removed:
            assert gone.record is not None
            version = RemovedVersion(gone.record, gone.removed, generation)
            key = removed_version_key(name, gone.record.version)
            txn.put(key, encode_removed(version), db=trash)
        if known.last > last_removed(txn, trash, name):
            txn.put(last_key(name), number_key(known.last), db=trash)
    for key, last in part.retired.items():
        txn.put(LAST_REMOVED + key, number_key(last), db=trash)
