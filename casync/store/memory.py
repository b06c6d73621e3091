"""A whole store in dictionaries: for tests, and as the smallest example of the port.

It keeps every promise of `ObjectStore` but durability.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.store.base import (
    Absence,
    Batch,
    Committed,
    ManifestRow,
    ManifestState,
    ObjectStat,
    RememberedFile,
)
from casync.store.names import check_relied, check_whole, resolve, updated

__all__ = ["MemoryStore"]


class MemoryStore:
    """An `ObjectStore` that lives and dies with the process. Safe for threads.

    Args:
        clock: Seconds since 1970, for the times that people see.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[tuple[Kind, ObjectId], Packed] = {}
        self._manifests: dict[ManifestId, ManifestRow] = {}
        self._names: dict[Name, list[NameRecord]] = {}
        self._remembered: dict[bytes, RememberedFile] = {}  # the newest last

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """Yields one answer per id, in the order asked."""
        for ident in ids:
            yield self._objects.get((kind, ident), Absence.MISSING)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, or None where it is missing."""
        found = [self._objects.get((kind, ident)) for ident in ids]
        return [ObjectStat(f.length, len(f.payload)) if f is not None else None for f in found]

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are here."""
        return [(kind, ident) in self._objects for ident in ids]

    def objects(self, kind: Kind) -> Iterator[ObjectId]:
        """The ids of all objects of `kind`, in order."""
        yield from sorted(ident for its_kind, ident in list(self._objects) if its_kind is kind)

    def manifests(self) -> Iterator[ManifestRow]:
        """All full manifests, ordered by id."""
        return self.full_from(ManifestId(b""))

    def full_from(self, first: ManifestId) -> Iterator[ManifestRow]:
        """The full manifests whose ids are `first` or above, ordered by id."""
        rows = sorted(row for row in list(self._manifests.values()) if row.id >= first)
        return iter([row for row in rows if row.state is ManifestState.FULL])

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """What is known of one manifest, full or outline."""
        return self._manifests.get(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The newest version of each name that begins with `prefix`, ordered by name."""
        for name, records in sorted(self._names.items()):
            if name.startswith(prefix):
                yield records[-1]

    def history(self, name: Name) -> list[NameRecord]:
        """All versions of a name, the oldest first."""
        return list(self._names.get(name, ()))

    def version(self, name: Name, number: int) -> NameRecord | None:
        """One version of a name; number 0 is the newest."""
        records = self._names.get(name, [])
        return records[number - 1] if records and number <= len(records) else None

    def resolve(self, ref: Ref) -> ManifestId:
        """The full manifest that a ref points to.

        Raises:
            NoNameError, UsageError: As the port says.
        """
        return resolve(ref, self)

    def remembered(self) -> Iterator[RememberedFile]:
        """All remembered files, the newest first."""
        return reversed(list(self._remembered.values()))

    def recall(self, path: bytes) -> RememberedFile | None:
        """What is remembered of the file at `path`."""
        return self._remembered.get(path)

    def commit(self, batch: Batch) -> Committed:
        """Writes a batch: all of it or nothing.

        Raises:
            NoObjectError, LostRaceError: As the port says.
        """
        with self._lock:
            return self._commit(batch)

    def _commit(self, batch: Batch) -> Committed:
        new = {(item.kind, item.id): Packed(*item) for item in batch.mended}
        for item in batch.objects:
            key = (item.kind, item.id)
            if key not in self._objects:
                new.setdefault(key, Packed(*item))
        check_relied({ident: self._manifests.get(ident) for ident in batch.relies})
        rows = self._rows(batch, new)
        records = self._records(batch, rows)

        # Nothing below can fail.
        self._objects.update(new)
        self._manifests.update(rows)
        for record in records:
            versions = self._names.setdefault(Name(record.name), [])
            if record.version > len(versions):
                versions.append(record)
        for path in batch.forget:
            self._remembered.pop(path, None)
        for file in batch.remember:
            self._remembered.pop(file.path, None)
            self._remembered[file.path] = file
        return Committed(len(new), sum(len(item.payload) for item in new.values()), records)

    def _rows(
        self, batch: Batch, new: dict[tuple[Kind, ObjectId], Packed]
    ) -> dict[ManifestId, ManifestRow]:
        rows: dict[ManifestId, ManifestRow] = {}
        for ident, state, length in batch.manifests:
            key = (Kind.MANIFEST, ident)
            if key not in new and key not in self._objects:
                raise NoObjectError(f"manifest {ident.hex()} is not here")
            present = rows.get(ident) or self._manifests.get(ident)
            if present is None or (
                present.state is ManifestState.OUTLINE and state is ManifestState.FULL
            ):
                rows[ident] = ManifestRow(ident, state, length, int(self._clock()))
        return rows

    def _records(self, batch: Batch, rows: dict[ManifestId, ManifestRow]) -> list[NameRecord]:
        newest: dict[Name, NameRecord] = {}
        records: list[NameRecord] = []
        for update in batch.names:
            name = update.name
            row = rows.get(update.manifest) or self._manifests.get(update.manifest)
            check_whole(update.manifest, row)
            present = newest.get(name) or self.version(name, 0)
            expected = update.expected or 0
            above = (record for record in self.history(name) if record.version > expected)
            record = updated(update, present, next(above, None), int(self._clock()))
            records.append(record)
            if present is None or record.version > present.version:
                newest[name] = record
        return records
