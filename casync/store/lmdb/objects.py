"""Reads objects out of segments.

Look-up and copy share one short transaction, so a record cannot move in between; checks are
computed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import lmdb

from casync.errors import MalformedError
from casync.ids import Kind, ObjectId, chunk_id
from casync.limits import MAX_BATCH_IDS, MAX_CHUNK_SIZE, MIB
from casync.objects.codec import Codec, Packed, Unpacker, Verified
from casync.objects.record import RECORD_BYTES, encode_record
from casync.store.base import Absence, ObjectStat
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import (
    IndexRow,
    decode_generation,
    decode_index,
    index_prefix,
    number_key,
)

__all__ = ["Objects", "RecordCopy", "is_possible", "judge"]

_COPY_BYTES: Final = 4 * MIB
"""Payload copied in one transaction: a few milliseconds, and at most what an early stop wastes."""

_FIRST_WINDOW: Final = 64
_MOST_WINDOW: Final = 1024

_CODECS: Final = {codec.value: codec for codec in Codec}

RecordCopy: TypeAlias = tuple[IndexRow, bytes, bytes]
"""A row of the index, and the header and the payload of the record that it points to."""


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
                yield copy if isinstance(copy, Absence) else judge(kind, ident, copy)
            position += len(copies)
            window = min(max(2 * len(copies), _FIRST_WINDOW), _MOST_WINDOW)

    def plain_chunks(self, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """As `ChunkReads.plain_chunks`.

        The id proves the bytes, so the check of a payload that is not raw is not computed.
        """
        unpacker, lost, position = Unpacker(), set[int](), 0
        while position < len(ids):
            wanted = ids[position : position + _MOST_WINDOW]
            copies = self._copy(Kind.CHUNK, wanted, lost)
            for ident, copy in zip(wanted, copies, strict=False):
                if isinstance(copy, Absence):
                    yield None
                    continue
                row, _, plain = copy
                try:
                    if row.codec:
                        packed = Packed(Kind.CHUNK, ident, Codec.ZSTD, row.length, plain)
                        plain = unpacker.decode(packed)
                except MalformedError:
                    yield None
                    continue
                yield plain if len(plain) == row.length and chunk_id(plain) == ident else None
            position += len(copies)

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
                generations |= {bytes(key[1:]): decode_generation(row) for key, row in found}
        return generations

    def _copy(
        self, kind: Kind, ids: Sequence[ObjectId], lost: set[int]
    ) -> list[RecordCopy | Absence]:
        """Copies the first few of `ids`; none only if `lost` has grown by a segment."""
        segments = dict[int, memoryview | None].fromkeys(lost)
        size = 0
        with self._reading() as txn:
            rows = self.rows(txn, kind, ids)
            if not rows:
                return [Absence.MISSING] * len(ids)
            copies: list[RecordCopy | Absence] = []
            for ident in ids:
                row = rows.get(ident)
                if row is None:
                    copies.append(Absence.MISSING)
                    continue
                number = row.segment
                if number not in segments:
                    try:
                        segments[number] = txn.get(
                            number_key(number), db=self._databases["segments"]
                        )
                    except lmdb.Error:
                        # The transaction is unusable; a new one serves the other segments.
                        lost.add(number)
                        break
                segment = segments[number]
                if segment is None or not is_possible(row):
                    copies.append(Absence.DAMAGED)
                    continue
                start = row.offset + RECORD_BYTES
                header = segment[row.offset : start].tobytes()
                payload = segment[start : start + row.stored].tobytes()
                copies.append((row, header, payload))
                size += row.stored
                if size >= _COPY_BYTES:
                    break
        return copies


def is_possible(row: IndexRow) -> bool:
    """Whether an object can have the lengths of a row."""
    is_packed = row.stored < row.length if row.codec else row.stored == row.length
    return is_packed and row.length <= MAX_CHUNK_SIZE


def judge(kind: Kind, ident: ObjectId, copy: RecordCopy) -> Packed | Absence:
    """The object of a record that was copied, if the record is what its row says."""
    row, header, payload = copy
    codec, length = _CODECS[row.codec], row.length
    if len(payload) != row.stored or header != encode_record(kind, codec, length, ident, payload):
        return Absence.DAMAGED
    if kind is Kind.CHUNK and codec is Codec.RAW:  # its check is the beginning of its id
        is_whole = chunk_id(payload) == ident
        return Verified(kind, ident, codec, length, payload) if is_whole else Absence.DAMAGED
    return Packed(kind, ident, codec, length, payload)
