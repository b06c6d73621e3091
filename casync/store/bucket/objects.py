"""Reads objects of a store in a bucket by ranges of its segments.

Nodes and manifests are kept on this host, as collections and pulls read all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple

from casync.bucket.keys import segment_key
from casync.bucket.run import SegmentSize
from casync.errors import IntegrityError
from casync.ids import Kind, ObjectId
from casync.limits import MIB
from casync.objects.codec import Packed, Unpacker
from casync.objects.record import RECORD_BYTES
from casync.store.base import Absence
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.record_cache import RecordCache, RecordKey
from casync.store.bucket.tables import PAYLOADS, find_segment
from casync.store.lmdb.objects import Objects, is_possible, judge
from casync.store.lmdb.rows import IndexRow, index_key

__all__ = ["BucketObjects"]

_FIRST_WINDOW: Final = 64
_MOST_WINDOW: Final = 1024
_WINDOW_BYTES: Final = 32 * MIB
_AT_ONCE: Final = 8
_TRIES: Final = 5


class _Wanted(NamedTuple):
    """A record to read, or the record itself if this host has it."""

    row: IndexRow
    segment: SegmentSize | None
    record: bytes | None

    @property
    def place(self) -> RecordKey | None:
        """Where it lies; None if its segment is unknown."""
        return None if self.segment is None else RecordKey(self.segment.part, self.row.offset)


class BucketObjects(Objects):
    """As `Objects`.

    Args:
        environment: The tables.

    Attributes:
        cache: Keeps chunks that were read.
    """

    def __init__(self, environment: BucketEnvironment) -> None:
        super().__init__(environment.databases, environment.reading)
        self._environment = environment
        self.cache = RecordCache()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        position, window = 0, _FIRST_WINDOW
        while position < len(ids):
            wanted = ids[position : position + window]
            answers = self._answers(kind, wanted)
            yield from answers
            position += len(answers)
            window = min(2 * window, _MOST_WINDOW)

    def plain_chunks(self, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """As `ChunkReads.plain_chunks`, with as few requests as `get`."""
        unpacker = Unpacker()
        for answer in self.get(Kind.CHUNK, ids):
            plain: bytes | None = None
            if not isinstance(answer, Absence):
                with suppress(IntegrityError):
                    plain = unpacker.unpack(answer)
            yield plain

    def _answers(self, kind: Kind, ids: Sequence[ObjectId]) -> list[Packed | Absence]:
        """The objects of the first few of `ids`, at least one."""
        found, ids = self._look_up(kind, ids)
        records, gone = self._records(found)
        for _ in range(_TRIES):
            if not gone:
                break
            self._environment.refresh()  # objects of segments that are gone have moved
            again, _ = self._look_up(kind, gone)
            moved = {i: wanted for i, wanted in again.items() if wanted.place != found[i].place}
            for ident in gone:
                del found[ident]
            found |= again
            come, gone = self._records(moved)
            records |= come
        answers: list[Packed | Absence] = []
        for ident in ids:
            wanted = found.get(ident)
            record = records.get(ident) if wanted is not None else None
            if wanted is None:
                answers.append(Absence.MISSING)
            elif record is None or not is_possible(wanted.row):
                answers.append(Absence.DAMAGED)
            else:
                copy = wanted.row, record[:RECORD_BYTES], record[RECORD_BYTES:]
                answer = judge(kind, ident, copy)
                answers.append(answer)
                if wanted.record is None and wanted.place and not isinstance(answer, Absence):
                    self.cache.put(wanted.place, record)
        return answers

    def _look_up(
        self, kind: Kind, ids: Sequence[ObjectId]
    ) -> tuple[dict[ObjectId, _Wanted], Sequence[ObjectId]]:
        found: dict[ObjectId, _Wanted] = {}
        size = 0
        with self._environment.reading() as txn:
            rows = self.rows(txn, kind, ids)
            for at, ident in enumerate(ids):
                row = rows.get(ident)
                if row is None or ident in found:
                    continue
                record = None
                if kind is not Kind.CHUNK:
                    record = txn.get(index_key(kind, ident), db=self._databases[PAYLOADS])
                segment = find_segment(txn, self._databases, row.segment)
                wanted = _Wanted(row, segment, bytes(record) if record is not None else None)
                if record is None and wanted.place is not None:
                    wanted = wanted._replace(record=self.cache.get(wanted.place))
                found[ident] = wanted
                size += row.stored
                if size >= _WINDOW_BYTES:
                    return found, ids[: at + 1]
        return found, ids

    def _records(
        self, found: dict[ObjectId, _Wanted]
    ) -> tuple[dict[ObjectId, bytes], list[ObjectId]]:
        """The records of objects, and the objects whose segments are gone."""
        gone: list[ObjectId] = []
        records = {i: wanted.record for i, wanted in found.items() if wanted.record is not None}
        places: dict[SegmentSize, list[ObjectId]] = {}
        for ident, wanted in found.items():
            if wanted.record is None and wanted.segment is not None:
                places.setdefault(wanted.segment, []).append(ident)
        if not places:
            return records, gone

        def fetch(segment: SegmentSize) -> list[bytes] | None:
            rows = [found[ident].row for ident in places[segment]]
            ranges = [(r.offset, r.offset + RECORD_BYTES + r.stored) for r in rows]
            return self._environment.storage.get_ranges(segment_key(segment.part), ranges)

        if len(places) == 1:
            fetched = list(map(fetch, places))
        else:
            with ThreadPoolExecutor(min(_AT_ONCE, len(places))) as pool:
                fetched = list(pool.map(fetch, places))
        for idents, parts in zip(places.values(), fetched, strict=True):
            if parts is None:
                gone += idents
            else:
                records.update(zip(idents, parts, strict=True))
        return records, gone
