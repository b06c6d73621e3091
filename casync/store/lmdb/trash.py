"""Moves names and manifests to the trash and back, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lmdb

from casync.ids import ManifestId
from casync.names.name import NameRecord, Ref
from casync.store.base import ManifestRow, ManifestState, Removal, Removed
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.roots import check_names
from casync.store.lmdb.rows import (
    decode_manifest_row,
    decode_name,
    encode_manifest_row,
    encode_name,
    name_key,
    number_key,
    version_key,
)
from casync.store.lmdb.trash_rows import (
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
from casync.store.trash import check_full, latest_last, plan_removal, plan_restoration

__all__ = ["Trash"]


class Trash:
    """One transaction's view of names, manifests and trash. A read transaction is enough to plan.

    Args:
        txn: The transaction.
        databases: LMDB's handles by name. Without `trash` the trash is empty.
        now: Seconds since 1970.
    """

    def __init__(self, txn: Txn, databases: dict[str, lmdb._Database], now: int) -> None:
        self._txn = txn
        self._databases = databases
        self._now = now

    def plan(self, refs: Sequence[Ref]) -> Removal:
        """As `plan_removal`; what the names say is checked first.

        Raises:
            DamagedStoreError: They contradict the manifests or the trash.
        """
        check_names(self._txn, self._databases)
        log = (decode_name(value) for _, value in self._rows("name_log"))
        return plan_removal(refs, log, self._row)

    def remove(self, removal: Removal) -> None:
        """Moves a removal that was planned in this transaction to the trash."""
        generation = read_generation(self._txn, self._databases["meta"])
        for ident in removal.manifests:
            row = check_full(ident, self._row(ident))
            gone = RemovedManifest(row.length, row.created, self._now, generation)
            self._put("trash", removed_key(ident), encode_removed(gone))
            self._delete("manifests", ident)
        for record in removal.versions:
            version = RemovedVersion(record, self._now, generation)
            key = removed_version_key(record.name, record.version)
            self._put("trash", key, encode_removed(version))
            self._delete("name_log", version_key(record.name, record.version))
            last = max(
                last_removed(self._txn, self._databases["trash"], record.name), record.version
            )
            self._put("trash", last_key(record.name), number_key(last))
        for name in {record.name for record in removal.versions}:
            newest = self._newest(name)
            if newest is None:
                self._delete("names", name_key(name))
            else:
                self._put("names", name_key(name), encode_name(newest))

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """Restores what `plan_restoration` selects; returns it."""
        planned = plan_restoration(
            refs,
            self._removed_versions,
            lambda ident: self._get("manifests", ident) is not None,
            lambda ident: self._get("trash", removed_key(ident)) is not None,
        )
        for ident in planned.manifests:
            value = self._get("trash", removed_key(ident))
            assert value is not None
            gone = decode_removed_manifest(value)
            row = ManifestRow(ident, ManifestState.FULL, gone.length, gone.created)
            self._put("manifests", ident, encode_manifest_row(row))
            self._delete("trash", removed_key(ident))
        for record in planned.versions:
            self._put("name_log", version_key(record.name, record.version), encode_name(record))
            self._delete("trash", removed_version_key(record.name, record.version))
        for name in {record.name for record in planned.versions}:
            newest = self._newest(name)
            assert newest is not None
            self._put("names", name_key(name), encode_name(newest))
        return planned

    def listing(self) -> list[Removed]:
        """Everything in the trash, the latest last: versions, and manifests without any."""
        versions = [decode_removed_version(v) for _, v in self._rows("trash", REMOVED_VERSIONS)]
        manifests = [
            (ManifestId(key[1:]), decode_removed_manifest(value).removed)
            for key, value in self._rows("trash", REMOVED_MANIFESTS)
        ]
        return latest_last(((gone.record, gone.removed) for gone in versions), manifests)

    def _rows(self, database: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        if database not in self._databases:
            return
        cursor = self._txn.cursor(self._databases[database])
        if cursor.set_range(prefix) if prefix else cursor.first():
            for key, value in cursor.iternext():
                if bytes(key[: len(prefix)]) != prefix:
                    return
                yield bytes(key), bytes(value)

    def _get(self, database: str, key: bytes) -> memoryview | None:
        if database not in self._databases:
            return None
        return self._txn.get(key, db=self._databases[database])

    def _put(self, database: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._databases[database])

    def _delete(self, database: str, key: bytes) -> None:
        self._txn.delete(key, db=self._databases[database])

    def _newest(self, name: str) -> NameRecord | None:
        newest = None
        for _, value in self._rows("name_log", name_key(name) + b"\0"):
            record = decode_name(value)
            if record.name == name:
                newest = record
        return newest

    def _removed_versions(self, name: str) -> list[NameRecord]:
        rows = self._rows("trash", removed_versions_prefix(name))
        return [decode_removed_version(value).record for _, value in rows]

    def _row(self, ident: ManifestId) -> ManifestRow | None:
        value = self._get("manifests", ident)
        return decode_manifest_row(ident, value) if value is not None else None
