"""Rebuilds the index, the manifests and the names from the segments, through LMDB.

It is one transaction: until it commits, the store is unchanged. Objects whose bytes do not match
their ids are left out.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import msgspec

from casync.errors import IntegrityError
from casync.ids import Kind, ManifestId, chunk_id
from casync.limits import GIB, MAP_BYTES
from casync.names.name import NameRecord
from casync.objects.codec import Packed, Unpacker, Verified
from casync.objects.record import NAME_RECORD, RECORD_BYTES, SegmentRecord
from casync.store.base import ManifestRow, ManifestState
from casync.store.lmdb.commit import Writer
from casync.store.lmdb.completeness import Completeness
from casync.store.lmdb.creation import no_store, store_exists
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.upkeep import drop_bad_jobs
from casync.store.lmdb.member_indexes import drop_bad_indexes
from casync.store.lmdb.meta import FIRST_GENERATION, read_meta, write_meta
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.quota import recount
from casync.store.lmdb.roots import drop_bad_rows
from casync.store.lmdb.rows import (
    IndexRow,
    NamePayload,
    SegmentUse,
    decode_manifest_row,
    decode_number,
    encode_index,
    encode_segment_use,
    index_key,
    number_key,
)
from casync.store.lmdb.segment import decode_header, records
from casync.store.lmdb.trash_rows import removed_key, removed_version_key

__all__ = ["Reindexed", "latest", "prove", "prove_name", "reindex"]

_GUESSED_BYTES = GIB


class Reindexed(NamedTuple):
    """What a store holds after it was reindexed.

    Attributes:
        objects: Number of objects.
        manifests: Number of full manifests.
        outlines: Manifests of which only the nodes are here.
        names: Number of names.
        segments: Number of segments read.
        damaged: Damaged ranges of segments and damaged objects; they are lost.
    """

    objects: int
    manifests: int
    outlines: int
    names: int
    segments: int
    damaged: int


def prove(record: SegmentRecord, payload: bytes, unpacker: Unpacker) -> Verified | None:
    """The object in a record, if its bytes match its id."""
    packed = Packed(Kind(record.kind), ManifestId(record.id), record.codec, record.length, payload)
    try:
        return unpacker.verify(packed)[0]
    except IntegrityError:
        return None


def prove_name(record: SegmentRecord, payload: bytes) -> NamePayload | None:
    """The version of a name in a record, if it is undamaged."""
    if chunk_id(payload) != record.id:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=NamePayload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def latest(found: Iterable[NameRecord]) -> list[NameRecord]:
    """Each version of each name once, sorted; of duplicates, the last one found."""
    versions = {(record.name, record.version): record for record in found}
    return [versions[key] for key in sorted(versions)]


def reindex(path: Path, *, advance: Callable[[int], None] = lambda _: None) -> Reindexed:
    """Rebuilds everything but the segments of the store at `path`, and drops other bad rows.

    Jobs stay; so do pushes, tokens, remembered files and the trash.

    Args:
        path: The store's folder. It must not be open in this process.
        advance: Is called with the number of bytes of each segment.

    Raises:
        NoStoreError: There is no store.
        DamagedStoreError: LMDB cannot walk it; `salvage` can.
        UnsupportedError, NoSpaceError, WriteError, LockedError: As `LmdbStore`.
    """
    if not store_exists(path):
        raise no_store(path)
    environment = Environment(path, read_only=False, map_bytes=MAP_BYTES)
    try:
        if "meta" not in environment.missing:
            with environment.reading() as txn:
                read_meta(txn, environment.databases["meta"], path)  # refuses newer stores
        environment.check_pages(everything=True)
        environment.add_missing_databases()
        return environment.write(
            lambda txn: _Rebuild(path, txn, environment, int(time.time()), advance).run(),
            need=_GUESSED_BYTES,
        )
    finally:
        environment.close()


class _Rebuild:
    """One run, in its transaction."""

    def __init__(
        self,
        path: Path,
        txn: Txn,
        environment: Environment,
        now: int,
        advance: Callable[[int], None],
    ) -> None:
        self._path = path
        self._txn = txn
        self._environment = environment
        self._databases = environment.databases
        self._now = now
        self._advance = advance
        self._unpacker = Unpacker()
        self._objects = 0
        self._segments = 0
        self._damaged = 0
        self._manifests: list[ManifestId] = []
        self._names: list[NameRecord] = []

    def run(self) -> Reindexed:
        store_id, generation = self._restore_meta()
        created = self._created()
        for name in ("index", "segment_use", "manifests", "names", "name_log"):
            self._txn.drop(self._databases[name], delete=False)
        for number, segment in self._each_segment():
            self._segments += 1
            self._add_segment(number, segment, store_id, generation)
            self._advance(len(segment))
        rows = list(self._rows(created))
        drop_bad_rows(
            self._txn,
            self._databases,
            {row.id for row in rows if row.state is ManifestState.FULL},
            generation,
        )
        rows = [row for row in rows if not self._is_removed(removed_key(row.id))]
        full = {row.id for row in rows if row.state is ManifestState.FULL}
        names = [
            record
            for record in latest(self._names)
            if record.manifest in full
            and not self._is_removed(removed_version_key(record.name, record.version))
        ]
        writer = Writer(self._txn, self._environment, store_id, self._now)
        writer.put_manifests(rows)
        writer.put_names(names)
        drop_bad_jobs(self._txn, self._databases)
        drop_bad_indexes(self._txn, self._databases)
        recount(self._txn, self._databases)
        return Reindexed(
            objects=self._objects,
            manifests=len(full),
            outlines=len(rows) - len(full),
            names=len({record.name for record in names}),
            segments=self._segments,
            damaged=self._damaged,
        )

    def _is_removed(self, key: bytes) -> bool:
        return self._txn.get(key, db=self._databases["trash"]) is not None

    def _restore_meta(self) -> tuple[bytes, int]:
        meta = read_meta(self._txn, self._databases["meta"], self._path)
        store_id = meta.store_id or self._store_id_of_segments()
        generation = FIRST_GENERATION if meta.generation is None else meta.generation
        write_meta(self._txn, self._databases["meta"], store_id, generation)
        return store_id, generation

    def _store_id_of_segments(self) -> bytes:
        for _, segment in self._each_segment():
            try:
                return decode_header(segment).store_id
            except IntegrityError:
                continue
        return uuid.uuid4().bytes

    def _created(self) -> dict[ManifestId, int]:
        """When manifests were added, which only their rows record."""
        cursor = self._txn.cursor(self._databases["manifests"])
        created: dict[ManifestId, int] = {}
        for key, value in cursor.iternext() if cursor.first() else ():
            try:
                row = decode_manifest_row(key, value)
            except IntegrityError:
                continue
            created[row.id] = row.created
        return created

    def _each_segment(self) -> Iterator[tuple[int, bytes]]:
        cursor = self._txn.cursor(self._databases["segments"])
        more = cursor.first()
        while more:
            yield decode_number(cursor.key()), bytes(cursor.value())
            more = cursor.next()

    def _add_segment(self, number: int, data: bytes, store_id: bytes, generation: int) -> None:
        live = 0
        rows: dict[bytes, IndexRow] = {}
        for record in records(data):
            if record is None:
                self._damaged += 1
                continue
            payload = record.payload(data)
            if record.kind == NAME_RECORD:
                said = prove_name(record, payload)
                if said is not None and said.store == store_id:
                    self._names.append(said.record)
                    live += RECORD_BYTES + record.stored
                continue
            if prove(record, payload, self._unpacker) is None:
                self._damaged += 1
                continue
            row = IndexRow(
                number, record.offset, record.stored, record.length, record.codec, generation
            )
            rows.setdefault(index_key(record.kind, record.id), row)
        cursor = self._txn.cursor(self._databases["index"])
        for key in [bytes(key) for key in cursor.getmulti(sorted(rows), values=False)]:
            del rows[key]
        cursor.putmulti([(key, encode_index(rows[key])) for key in sorted(rows)])
        self._objects += len(rows)
        self._manifests += [ManifestId(key[1:]) for key in rows if key[0] == Kind.MANIFEST]
        live += sum(RECORD_BYTES + row.stored for row in rows.values())
        use = encode_segment_use(SegmentUse(len(data), live))
        self._txn.put(number_key(number), use, db=self._databases["segment_use"])

    def _rows(self, created: dict[ManifestId, int]) -> Iterator[ManifestRow]:
        walk = Completeness(Objects(self._databases, lambda: nullcontext(self._txn)))
        for ident in self._manifests:
            manifest = walk.manifest(ident)
            state = walk.state(manifest) if manifest is not None else None
            if manifest is not None and state is not None:
                when = created.get(ident, self._now)
                yield ManifestRow(ident, state, manifest.length, when)
