"""Writes a batch as rows and segments, in one write transaction.

Costly work that needs no transaction is done before it, by `Pending`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import lmdb
import msgspec

from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import NameRecord
from casync.objects.codec import Codec
from casync.objects.record import NAME_RECORD, RECORD_BYTES, encode_record
from casync.store.base import Batch, Committed, ManifestRow, ManifestState, RememberedFile
from casync.store.job_rules import check_update
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.commit import put_origins, put_update, read_job
from casync.store.lmdb.member_indexes import put_indexes
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.quota import charge, discharge
from casync.store.lmdb.renew import renew
from casync.store.lmdb.rows import (
    NamePayload,
    SegmentUse,
    decode_index,
    decode_manifest_row,
    decode_name,
    decode_number,
    decode_segment_use,
    encode_file,
    encode_index_run,
    encode_manifest_row,
    encode_name,
    encode_segment_use,
    file_key,
    index_key,
    name_key,
    number_key,
    path_key,
    version_key,
)
from casync.store.lmdb.segment import Filler
from casync.store.lmdb.trash_rows import last_removed, removed_key
from casync.store.names import check_relied, check_whole, updated

__all__ = ["Writer", "forget_file", "put_files"]


class Writer:
    """One write transaction's view of the store.

    A write invalidates values that were read before, so each step reads before it writes.
    """

    def __init__(self, txn: Txn, environment: Environment, store_id: bytes, now: int) -> None:
        self._txn = txn
        self._environment = environment
        self._check_leaves = partial(environment.leaves.check, txn.id())
        self._databases = environment.databases
        self._store_id = store_id
        self._now = now

    def commit(self, batch: Batch, pending: Pending) -> Committed:
        """Writes all of `batch`, whose objects are `pending`.

        Raises:
            NoObjectError: The manifest of a manifest row or name is missing.
            LostRaceError: A name is not at the expected version; as `check_update`.
        """
        if batch.job is not None:
            check_update(read_job(self._txn, self._databases, batch.job.row.id), batch.job)
        check_relied(batch, lambda ident: self._row(ident, {}))
        new = self._new(batch, pending)
        if batch.mended:
            new = self._instead(Pending.of(batch.mended), new)
        rows = self._manifest_rows(batch, set(new.keys))
        records, added = self._name_records(batch, rows)
        self.append(new, added)
        self.put_manifests(rows.values())
        self.put_names(added)
        if batch.forget or batch.remember:
            put_files(self._txn, self._environment, batch)
        if batch.job is not None:
            for database in ("jobs", "job_faults", "job_parts"):
                self._check_leaves(database)
            put_update(self._txn, self._databases, batch.job)
        self._check_leaves("origins", sorted(name_key(name) for name, _ in batch.origins))
        put_origins(self._txn, self._databases, batch.origins)
        if batch.member_indexes:
            self._check_leaves("member_indexes", sorted(dict(batch.member_indexes)))
            put_indexes(self._txn, self._databases, batch.member_indexes)
        return Committed(len(new.keys), new.stored, records)

    def adopt(
        self,
        manifests: Sequence[tuple[ManifestId, ManifestState, int]],
        names: Sequence[NameRecord],
    ) -> list[NameRecord]:
        """Writes manifest rows, and versions of those `names` that the store lacks.

        Raises:
            NoObjectError: As `commit`.
        """
        rows = self._manifest_rows(Batch(manifests=list(manifests)), set())
        absent = {
            record.name for record in names if self._get("names", name_key(record.name)) is None
        }
        added = [record for record in names if record.name in absent]
        self.append(Pending.of([]), added)
        self.put_manifests(rows.values())
        self.put_names(added)
        return added

    def _new(self, batch: Batch, pending: Pending) -> Pending:
        """The objects of `pending` that the store lacks.

        Renews the others, and the batch's manifests, which protects them from a running collection.
        """
        found = {index_key(Kind.MANIFEST, ident) for ident, _, _ in batch.manifests}
        found.update(pending.keys)
        keys = sorted(found)
        self._check_leaves("index", keys)
        return pending.without(renew(self._txn, self._databases, keys))

    def _instead(self, mended: Pending, new: Pending) -> Pending:
        """Counts the records that `mended` replaces as dead; returns all objects to write.

        The quota has their room back before the new records take it.
        """
        self._check_leaves("index", sorted(mended.keys))
        freed = 0
        dead: dict[int, int] = {}
        for key in mended.keys:
            value = self._get("index", key)
            if value is not None:
                row = decode_index(value)
                dead[row.segment] = dead.get(row.segment, 0) + RECORD_BYTES + row.stored
        for number, size in dead.items():
            value = self._get("segment_use", number_key(number))
            if value is not None:
                use = decode_segment_use(value)
                freed += min(size, use.live)
                self._count(number, use.used, -min(size, use.live))
        discharge(self._txn, self._databases["meta"], freed)
        return new.without(set(mended.keys)).after(mended)

    def _get(self, database: str, key: bytes) -> memoryview | None:
        return self._txn.get(key, db=self._databases[database])

    def _put(self, database: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._databases[database])

    def _row(self, ident: ManifestId, fresh: dict[ManifestId, ManifestRow]) -> ManifestRow | None:
        if ident in fresh:
            return fresh[ident]
        value = self._get("manifests", ident)
        return decode_manifest_row(ident, value) if value is not None else None

    def _manifest_rows(self, batch: Batch, new: set[bytes]) -> dict[ManifestId, ManifestRow]:
        rows: dict[ManifestId, ManifestRow] = {}
        for ident, state, length in batch.manifests:
            key = index_key(Kind.MANIFEST, ident)
            if key not in new and self._get("index", key) is None:
                raise NoObjectError(f"manifest {ident.hex()} is not here")
            present = self._row(ident, rows)
            if present is None or (
                present.state is ManifestState.OUTLINE and state is ManifestState.FULL
            ):
                rows[ident] = ManifestRow(ident, state, length, self._now)
        return rows

    def _name_records(
        self, batch: Batch, rows: dict[ManifestId, ManifestRow]
    ) -> tuple[list[NameRecord], list[NameRecord]]:
        """The record of each of the batch's names, and the new ones among them."""
        newest: dict[str, NameRecord | None] = {}
        records: list[NameRecord] = []
        added: list[NameRecord] = []
        for update in batch.names:
            name = update.name
            check_whole(update.manifest, self._row(update.manifest, rows))
            if name not in newest:
                value = self._get("names", name_key(name))
                newest[name] = decode_name(value) if value is not None else None
            present = newest[name]
            following = None
            if update.expected is not None:
                following = self._version_after(name, update.expected)
            last = last_removed(self._txn, self._databases["trash"], name)
            record = updated(update, present, following, self._now, last=last)
            records.append(record)
            if present is None or record.version > present.version:
                newest[name] = record
                added.append(record)
        return records, added

    def _version_after(self, name: str, number: int) -> NameRecord | None:
        """The oldest version of a name above `number`."""
        cursor = self._txn.cursor(self._databases["name_log"])
        if cursor.set_range(version_key(name, number + 1)):
            record = decode_name(cursor.value())
            return record if record.name == name else None
        return None

    def append(self, new: Pending, names: Sequence[NameRecord]) -> None:
        """Appends objects and name records to segments, and points the index to the objects."""
        if not new.keys and not names:
            return
        generation = read_generation(self._txn, self._databases["meta"])
        cursor = self._txn.cursor(self._databases["segments"])
        last, tail = -1, None
        if cursor.last():
            last, tail = decode_number(cursor.key()), cursor.value()
        filler = Filler(self._store_id, last, tail)
        live: dict[int, int] = {}
        values: list[bytes] = []
        for (number, offset), count in filler.extend(new.records, new.sizes):
            done = len(values)
            sizes, lengths = new.sizes[done : done + count], new.lengths[done : done + count]
            live[number] = live.get(number, 0) + sum(sizes)
            values += encode_index_run(number, offset, sizes, lengths, generation)
        for record in names:
            payload = msgspec.msgpack.encode(NamePayload(self._store_id, record))
            ident = chunk_id(payload)
            header = encode_record(NAME_RECORD, Codec.RAW, len(payload), ident, payload)
            place = filler.add(header, payload)
            live[place.segment] = live.get(place.segment, 0) + len(header) + len(payload)
        self._check_leaves("segment_use", [number_key(number) for number in sorted(live)])
        for number, segment in filler.segments():
            cursor.put(number_key(number), segment, append=number > last)
            self._count(number, len(segment), live.get(number, 0))
        self.put_index(list(zip(new.keys, values, strict=True)))
        charge(self._txn, self._databases["meta"], sum(live.values()))

    def _count(self, number: int, used: int, live: int) -> None:
        key = number_key(number)
        value = self._get("segment_use", key)
        before = decode_segment_use(value).live if value is not None else 0
        self._put("segment_use", key, encode_segment_use(SegmentUse(used, before + live)))

    def put_index(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Writes rows of the index, sorted, so that they touch few pages."""
        rows.sort()
        self._txn.cursor(self._databases["index"]).putmulti(rows)

    def put_manifests(self, rows: Iterable[ManifestRow]) -> None:
        """Writes manifest rows, and removes these manifests from the trash."""
        rows = sorted(rows, key=lambda row: row.id)
        if rows:
            self._check_leaves("manifests", [row.id for row in rows])
            self._check_leaves("trash")
        for row in rows:
            self._put("manifests", row.id, encode_manifest_row(row))
            self._txn.delete(removed_key(row.id), db=self._databases["trash"])

    def put_names(self, records: Iterable[NameRecord]) -> None:
        """Writes versions of names, the newest of each last."""
        records = list(records)
        versions = sorted(version_key(record.name, record.version) for record in records)
        self._check_leaves("name_log", versions)
        self._check_leaves("names", sorted({name_key(record.name) for record in records}))
        for record in records:
            value = encode_name(record)
            self._put("name_log", version_key(record.name, record.version), value)
            self._put("names", name_key(record.name), value)


def put_files(txn: Txn, environment: Environment, batch: Batch) -> None:
    """Forgets and remembers the files of a batch."""
    environment.leaves.check(txn.id(), "seeds")
    seeds = environment.databases["seeds"]
    for path in batch.forget:
        forget_file(txn, seeds, path)
    for file in batch.remember:
        forget_file(txn, seeds, file.path)
    number = _next_file_number(txn, seeds)
    for file in _newest_only(batch.remember):
        txn.put(path_key(file.path), number_key(number), db=seeds)
        txn.put(file_key(number), encode_file(file), db=seeds)
        number += 1


def _next_file_number(txn: Txn, seeds: lmdb._Database) -> int:
    cursor = txn.cursor(seeds)
    if not cursor.last():
        return 0
    key = bytes(cursor.key())
    first = file_key(0)
    return decode_number(key[1:]) + 1 if key[:1] == first[:1] else 0


def forget_file(txn: Txn, seeds: lmdb._Database, path: bytes) -> None:
    """Drops the remembered file at `path`, if there is one."""
    value = txn.get(path_key(path), db=seeds)
    if value is not None:
        number = decode_number(value)
        txn.delete(path_key(path), db=seeds)
        txn.delete(file_key(number), db=seeds)


def _newest_only(files: Sequence[RememberedFile]) -> list[RememberedFile]:
    by_path: dict[bytes, RememberedFile] = {}
    for file in files:
        by_path.pop(file.path, None)
        by_path[file.path] = file
    return list(by_path.values())
