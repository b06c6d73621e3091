"""Deletes objects in one write transaction: their rows, and segments that become empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import lmdb

from casync.errors import DamagedStoreError, MalformedError
from casync.ids import Buffer
from casync.objects.record import RECORD_BYTES, decode_record
from casync.store.collectable import Swept
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.rows import (
    IndexRow,
    SegmentUse,
    decode_index,
    decode_number,
    decode_segment_use,
    encode_segment_use,
    index_key,
    number_key,
)
from casync.store.lmdb.segment import HEADER_BYTES

__all__ = ["last_segment", "sweep"]


def sweep(
    txn: Txn, databases: Mapping[str, lmdb._Database], keys: Sequence[bytes], safe: int
) -> Swept:
    """Deletes those objects that are still older than `safe`.

    Args:
        txn: A write transaction that has not written to these databases yet.
        databases: LMDB's handles by name.
        keys: Index keys of the objects, sorted.
        safe: A generation; objects of this and later ones stay.

    Raises:
        DamagedStoreError: An object does not lie where the index says, so that it may be another
            one that goes.
    """
    found = txn.cursor(databases["index"]).getmulti(keys)
    rows = [(bytes(key), decode_index(value)) for key, value in found]
    old = {key: row for key, row in rows if row.generation < safe}
    freed: dict[int, int] = {}
    for key, row in old.items():
        _check_record(txn.get(number_key(row.segment), b"", db=databases["segments"]), key, row)
        freed[row.segment] = freed.get(row.segment, 0) + RECORD_BYTES + row.stored
    last = last_segment(txn, databases)
    left: dict[int, SegmentUse | None] = {}  # None for segments that go
    for number, size in freed.items():
        value = txn.get(number_key(number), db=databases["segment_use"])
        use = decode_segment_use(value) if value is not None else SegmentUse(0, 0)
        live = max(use.live - size, 0)
        # The last segment is written to, and numbers must ascend.
        goes = not live and number != last and _is_empty(txn, databases, number, old)
        left[number] = None if goes else SegmentUse(use.used, live)
    for key in old:  # what was read is gone from here on
        txn.delete(key, db=databases["index"])
    for number, kept in left.items():
        key = number_key(number)
        if kept is None:
            txn.delete(key, db=databases["segments"])
            txn.delete(key, db=databases["segment_use"])
        else:
            txn.put(key, encode_segment_use(kept), db=databases["segment_use"])
    emptied = sum(kept is None for kept in left.values())
    return Swept(len(old), sum(freed.values()), emptied)


def _check_record(segment: Buffer, key: bytes, row: IndexRow) -> None:
    try:
        record = decode_record(segment, row.offset)
        said = (record.kind, record.id, record.stored, record.length)
    except MalformedError:
        said = None
    if said != (key[0], key[1:], row.stored, row.length):
        raise DamagedStoreError(
            f"{key[1:].hex()} does not lie where the index says", next_step=REBUILD
        )


def _is_empty(
    txn: Txn, databases: Mapping[str, lmdb._Database], number: int, gone: Collection[bytes]
) -> bool:
    """Whether the index points to nothing in a segment but to what is about to go.

    A segment with a damaged record stays, for salvage.

    Raises:
        DamagedStoreError: It points to more than `segment_use` says.
    """
    segment = txn.get(number_key(number), b"", db=databases["segments"])
    offset = HEADER_BYTES
    while offset < len(segment):
        try:
            record = decode_record(segment, offset)
        except MalformedError:
            return False
        key = index_key(record.kind, record.id)
        value = None if key in gone else txn.get(key, db=databases["index"])
        if value is not None:
            row = decode_index(value)
            if (row.segment, row.offset) == (number, offset):
                raise DamagedStoreError(
                    f"segment {number} holds more than the store counts", next_step=REBUILD
                )
        offset = record.end
    return True


def last_segment(txn: Txn, databases: Mapping[str, lmdb._Database]) -> int:
    """The number of the last segment, or -1."""
    cursor = txn.cursor(databases["segments"])
    return decode_number(cursor.key()) if cursor.last() else -1
