"""Totals of all collections since the store was created, for its operators.

One row, updated at the end of a collection. It is informational.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import lmdb

from casync.ids import Buffer
from casync.store.lmdb.environment import Txn

__all__ = ["GcTotals", "add_collection", "decode_totals", "encode_totals", "read_totals"]

_META_TOTALS: Final = b"collected"
_ROW: Final = struct.Struct("<QQQQQ")
_MILLISECONDS: Final = 1000
_LAST: Final = 2**64 - 1


class GcTotals(NamedTuple):
    """Sums over all finished collections.

    Attributes:
        runs: Number of collections.
        objects: Deleted objects.
        stored: Bytes of the records of deleted objects.
        seconds: Total run time.
        last: When the last one ended, in seconds since 1970; 0 if there was none.
    """

    runs: int = 0
    objects: int = 0
    stored: int = 0
    seconds: float = 0.0
    last: int = 0


def encode_totals(totals: GcTotals) -> bytes:
    """Encodes totals as a value of `meta`."""
    runs, objects, stored, seconds, last = totals
    numbers = (runs, objects, stored, int(seconds * _MILLISECONDS), last)
    return _ROW.pack(*(min(number, _LAST) for number in numbers))


def decode_totals(value: Buffer) -> GcTotals:
    """Reads what `encode_totals` writes. A damaged row restarts at zero: nothing depends on it."""
    if len(value) != _ROW.size:
        return GcTotals()
    runs, objects, stored, milliseconds, last = _ROW.unpack(value)
    return GcTotals(runs, objects, stored, milliseconds / _MILLISECONDS, last)


def read_totals(txn: Txn, meta: lmdb._Database) -> GcTotals:
    """The totals so far."""
    value = txn.get(_META_TOTALS, db=meta)
    return GcTotals() if value is None else decode_totals(value)


def add_collection(txn: Txn, meta: lmdb._Database, one: GcTotals) -> None:
    """Adds one collection; `last` is when it ended."""
    before = read_totals(txn, meta)
    total = GcTotals(
        before.runs + one.runs,
        before.objects + one.objects,
        before.stored + one.stored,
        before.seconds + one.seconds,
        one.last,
    )
    txn.put(_META_TOTALS, encode_totals(total), db=meta)
