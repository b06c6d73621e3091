"""Reads objects out of segments.

Look-up and copy share one short transaction, so a record cannot move in between; checks are
computed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import lmdb

from casync.errors import MalformedError
from casync.ids import Kind, ObjectId
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.codec import Packed
from casync.objects.record import SegmentRecord, check_bytes, decode_record
from casync.store.base import Absence, ObjectStat
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import (
    IndexRow,
    decode_generation,
    decode_index,
    index_prefix,
    number_key,
)

__all__ = ["Objects"]

_COPY_BYTES: Final = 4 * MIB
"""Payload copied in one transaction: a few milliseconds, and at most what an early stop wastes."""

_FIRST_WINDOW: Final = 64
_MOST_WINDOW: Final = 1024


class Objects:
    """Reads the objects of a store. As safe for threads as its transactions.

    Args:
        databases: LMDB's handles by name.
        reading: Opens a short read transaction.
    """

    def __init__(
        self,
        databases: Mapping[str, lmdb._Database],
        reading: Callable[[], AbstractContextManager[Txn]],
    ) -> None:
        self._databases = databases
        self._reading = reading

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        lost: set[int] = set()  # segments that LMDB can no longer reach
        position = 0
        window = _FIRST_WINDOW
        while position < len(ids):
            wanted = ids[position : position + window]
            copies = self._copy(kind, wanted, lost)
            for ident, copy in zip(wanted, copies, strict=False):
                yield copy if isinstance(copy, Absence) else _judge(kind, ident, *copy)
            position += len(copies)
            window = min(max(2 * len(copies), _FIRST_WINDOW), _MOST_WINDOW)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        stats: list[ObjectStat | None] = []
        for start in range(0, len(ids), MAX_BATCH_IDS):
            wanted = ids[start : start + MAX_BATCH_IDS]
            with self._reading() as txn:
                rows = self.rows(txn, kind, wanted)
            found = [rows.get(ident) for ident in wanted]
            stats += [ObjectStat(row.length, row.stored) if row else None for row in found]
        return stats

    def rows(self, txn: Txn, kind: Kind, ids: Sequence[ObjectId]) -> dict[bytes, IndexRow]:
        """The index rows of those objects that are in the store, as one transaction sees them."""
        prefix = index_prefix(kind)
        keys = sorted({prefix + ident for ident in ids})
        found = txn.cursor(self._databases["index"]).getmulti(keys)
        return {bytes(key[1:]): decode_index(value) for key, value in found}

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are in the store now."""
        found = self.generations(kind, ids)
        return [ident in found for ident in ids]

    def generations(self, kind: Kind, ids: Sequence[ObjectId]) -> dict[bytes, int]:
        """The generations of those objects that are in the store."""
        prefix = index_prefix(kind)
        generations: dict[bytes, int] = {}
        for start in range(0, len(ids), MAX_BATCH_IDS):
            keys = sorted({prefix + ident for ident in ids[start : start + MAX_BATCH_IDS]})
            with self._reading() as txn:
                found = txn.cursor(self._databases["index"]).getmulti(keys)
                generations.update((bytes(key[1:]), decode_generation(row)) for key, row in found)
        return generations

    def _copy(
        self, kind: Kind, ids: Sequence[ObjectId], lost: set[int]
    ) -> list[tuple[IndexRow, SegmentRecord, bytes] | Absence]:
        """Copies the first few of `ids`; none only if `lost` has grown by a segment."""
        copies: list[tuple[IndexRow, SegmentRecord, bytes] | Absence] = []
        segments: dict[int, memoryview | None] = {}
        size = 0
        with self._reading() as txn:
            rows = self.rows(txn, kind, ids)
            for ident in ids:
                row = rows.get(ident)
                if row is None:
                    copies.append(Absence.MISSING)
                    continue
                if row.segment not in segments and row.segment not in lost:
                    try:
                        segments[row.segment] = txn.get(
                            number_key(row.segment), db=self._databases["segments"]
                        )
                    except lmdb.Error:
                        # The transaction is unusable; a new one serves the other segments.
                        lost.add(row.segment)
                        break
                segment = segments.get(row.segment)
                if segment is None:
                    copies.append(Absence.DAMAGED)
                    continue
                try:
                    record = decode_record(segment, row.offset)
                except MalformedError:
                    copies.append(Absence.DAMAGED)
                    continue
                copies.append((row, record, record.payload(segment)))
                size += record.stored
                if size >= _COPY_BYTES:
                    break
        return copies


def _judge(
    kind: Kind, ident: ObjectId, row: IndexRow, record: SegmentRecord, payload: bytes
) -> Packed | Absence:
    if (
        record.id != ident
        or record.kind != kind
        or record.stored != row.stored
        or record.length != row.length
        or record.codec != row.codec
        or len(payload) != record.stored
        or check_bytes(payload) != record.check
    ):
        return Absence.DAMAGED
    return Packed(kind, ident, record.codec, record.length, payload)
