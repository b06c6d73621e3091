"""Moving names and manifests into the trash and back, inside of one transaction.

A version of a name takes the manifest along that nothing else leads to; a manifest that a name
leads to is not removed under it. What lies in the trash keeps its content until a collection
finds that its time is over. Must not know how the transaction is begun or committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import lmdb

from casync.errors import NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import NameRecord, Ref
from casync.store.base import ManifestRow, ManifestState, Removed
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
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

__all__ = ["Removal", "Trash"]


class Removal(NamedTuple):
    """What is to go, or what came back: versions of names, and manifests."""

    versions: list[NameRecord]
    manifests: list[ManifestId]


class Trash:
    """One transaction's view of names, manifests and trash. A read transaction is enough to plan.

    Args:
        txn: The transaction.
        databases: LMDB's handles by name. Without `trash` nothing was ever removed.
        now: Seconds since 1970.
    """

    def __init__(self, txn: Txn, databases: dict[str, lmdb._Database], now: int) -> None:
        self._txn = txn
        self._databases = databases
        self._now = now

    def plan(self, refs: Sequence[Ref]) -> Removal:
        """What removing `refs` means: names with or without versions, and full hashes.

        Raises:
            NoNameError: One of them is not here.
            UsageError: A name still leads to a manifest that is to go.
        """
        log = [decode_name(value) for _, value in self._rows("name_log")]
        versions: dict[str, list[NameRecord]] = {}
        for record in log:
            versions.setdefault(record.name, []).append(record)
        chosen: dict[tuple[str, int], NameRecord] = {}
        manifests: dict[ManifestId, None] = {}
        for ref in refs:
            if ref.manifest is not None:
                self._full_row(ref.manifest)
                manifests[ref.manifest] = None
                continue
            found = [r for r in versions.get(ref.name or "", ()) if ref.version in (0, r.version)]
            if not found:
                raise NoNameError(f"no name {ref} here", next_step="`casync ls` lists the names.")
            chosen.update({(record.name, record.version): record for record in found})
        staying = {r.manifest: r for r in log if (r.name, r.version) not in chosen}
        for ident in manifests:
            if ident in staying:
                label = f"{staying[ident].name}@{staying[ident].version}"
                raise UsageError(
                    f"{ident.hex()} is named {label}", next_step=f"Remove that: casync rm {label}."
                )
        manifests.update(
            {ManifestId(r.manifest): None for r in chosen.values() if r.manifest not in staying}
        )
        return Removal(sorted(chosen.values(), key=_by_version), sorted(manifests))

    def remove(self, removal: Removal) -> None:
        """Moves what was planned in this very transaction into the trash."""
        generation = read_generation(self._txn, self._databases["meta"])
        for ident in removal.manifests:
            row = self._full_row(ident)
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
        """Takes `refs` out of the trash: of a name without a version all that lie there.

        Returns:
            What is here again.

        Raises:
            NoNameError: One of them does not lie there.
        """
        versions: dict[tuple[str, int], NameRecord] = {}
        manifests: dict[ManifestId, None] = {}
        for ref in refs:
            if ref.manifest is not None:
                self._removed_row(ref.manifest)
                manifests[ref.manifest] = None
                continue
            found = self._removed_versions(ref)
            versions.update({(record.name, record.version): record for record in found})
        for record in versions.values():
            if self._get("manifests", record.manifest) is None:
                self._removed_row(ManifestId(record.manifest))
                manifests[ManifestId(record.manifest)] = None
        for ident in manifests:
            gone = self._removed_row(ident)
            row = ManifestRow(ident, ManifestState.FULL, gone.length, gone.created)
            self._put("manifests", ident, encode_manifest_row(row))
            self._delete("trash", removed_key(ident))
        for record in versions.values():
            self._put("name_log", version_key(record.name, record.version), encode_name(record))
            self._delete("trash", removed_version_key(record.name, record.version))
        for name in {record.name for record in versions.values()}:
            newest = self._newest(name)
            assert newest is not None
            self._put("names", name_key(name), encode_name(newest))
        return Removal(sorted(versions.values(), key=_by_version), sorted(manifests))

    def listing(self) -> list[Removed]:
        """All that lies in the trash, the latest last: versions, and manifests without any."""
        found: list[Removed] = []
        for _, value in self._rows("trash", REMOVED_VERSIONS):
            gone = decode_removed_version(value)
            found.append(Removed(ManifestId(gone.record.manifest), gone.record, gone.removed))
        named = {removed.manifest for removed in found}
        for key, value in self._rows("trash", REMOVED_MANIFESTS):
            ident = ManifestId(key[1:])
            if ident not in named:
                found.append(Removed(ident, None, decode_removed_manifest(value).removed))
        return sorted(
            found, key=lambda r: (r.removed, _by_version(r.record) if r.record else ("", 0))
        )

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

    def _full_row(self, ident: ManifestId) -> ManifestRow:
        value = self._get("manifests", ident)
        row = decode_manifest_row(ident, value) if value is not None else None
        if row is None or row.state is not ManifestState.FULL:
            raise NoNameError(f"no manifest {ident.hex()} here")
        return row

    def _removed_row(self, ident: ManifestId) -> RemovedManifest:
        value = self._get("trash", removed_key(ident))
        if value is None:
            raise _not_in_trash(ident.hex())
        return decode_removed_manifest(value)

    def _removed_versions(self, ref: Ref) -> list[NameRecord]:
        rows = self._rows("trash", removed_versions_prefix(ref.name or ""))
        found = [decode_removed_version(value).record for _, value in rows]
        found = [record for record in found if ref.version in (0, record.version)]
        if not found:
            raise _not_in_trash(str(ref))
        return found


def _by_version(record: NameRecord) -> tuple[str, int]:
    return record.name, record.version


def _not_in_trash(label: str) -> NoNameError:
    return NoNameError(
        f"{label} is not in the trash", next_step="`casync rm --list` shows what is."
    )
