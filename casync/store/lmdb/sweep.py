"""Deletes objects in one write transaction: their rows, and segments that become empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lmdb

from casync.store.collectable import Swept
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import (
    SegmentUse,
    decode_index,
    decode_number,
    decode_segment_use,
    encode_segment_use,
    number_key,
)
from casync.store.lmdb.segment import RECORD_BYTES

__all__ = ["last_segment", "sweep"]


def sweep(
    txn: Txn, databases: Mapping[str, lmdb._Database], keys: Sequence[bytes], safe: int
) -> Swept:
    """Deletes those objects that are still older than `safe`.

    Args:
        txn: A write transaction.
        databases: LMDB's handles by name.
        keys: Index keys of the objects, sorted.
        safe: A generation; objects of this and later ones stay.
    """
    found = txn.cursor(databases["index"]).getmulti(keys)
    rows = [(bytes(key), decode_index(value)) for key, value in found]
    old = [(key, row) for key, row in rows if row.generation < safe]
    freed: dict[int, int] = {}
    for key, row in old:
        freed[row.segment] = freed.get(row.segment, 0) + RECORD_BYTES + row.stored
        txn.delete(key, db=databases["index"])
    last = last_segment(txn, databases)
    emptied = 0
    for number, size in freed.items():
        key = number_key(number)
        value = txn.get(key, db=databases["segment_use"])
        use = decode_segment_use(value) if value is not None else SegmentUse(0, 0)
        live = max(use.live - size, 0)
        if live or number == last:  # the last segment is written to, and numbers must ascend
            txn.put(
                key, encode_segment_use(SegmentUse(use.used, live)), db=databases["segment_use"]
            )
        else:
            txn.delete(key, db=databases["segments"])
            txn.delete(key, db=databases["segment_use"])
            emptied += 1
    return Swept(len(old), sum(freed.values()), emptied)


def last_segment(txn: Txn, databases: Mapping[str, lmdb._Database]) -> int:
    """The number of the last segment, or -1."""
    cursor = txn.cursor(databases["segments"])
    return decode_number(cursor.key()) if cursor.last() else -1
