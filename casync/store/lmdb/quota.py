"""Quota: an optional limit on how much a store may hold.

The records that the index points to count, as they lie in segments. A store with a quota keeps
their sum in a row that each commit adds to in its own transaction. Records that a repair replaces
come off it; otherwise only a collection reduces it, and recounts when it is done. A store without a
quota counts nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

import lmdb

from casync.errors import DamagedStoreError, QuotaError
from casync.ids import Buffer
from casync.sizes import format_size
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.rows import decode_segment_use

__all__ = [
    "MAKE_ROOM",
    "Quota",
    "charge",
    "check_quota",
    "discharge",
    "read_quota",
    "recount",
    "set_quota",
]

MAKE_ROOM: Final = "Remove something (`casync rm`), then collect it (`casync gc`)."

_META_QUOTA: Final = b"quota"
_ROW: Final = struct.Struct("<QQ")
_MOST: Final = 2**64 - 1
_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes


class Quota(NamedTuple):
    """Bytes that a store may hold, and bytes that it holds."""

    limit: int
    held: int


def set_quota(environment: Environment, limit: int) -> None:
    """Sets the quota in bytes; 0 for no limit. Existing objects stay.

    Raises:
        NoSpaceError, WriteError: The store cannot be written.
    """
    meta = environment.databases["meta"]

    def write(txn: Txn) -> None:
        if limit:
            _put(txn, meta, Quota(min(limit, _MOST), _live(txn, environment.databases)))
        else:
            txn.delete(_META_QUOTA, db=meta)

    environment.write(write, need=_ROW_BYTES)


def read_quota(txn: Txn, meta: lmdb._Database) -> Quota | None:
    """The quota; None if there is no limit."""
    value = txn.get(_META_QUOTA, db=meta)
    return None if value is None else _decode(value)


def charge(txn: Txn, meta: lmdb._Database, size: int) -> None:
    """Adds records of `size` bytes, which this write transaction writes, to the count.

    Raises:
        QuotaError: They exceed the quota.
    """
    quota = read_quota(txn, meta)
    if quota is None:
        return
    if quota.held + size > quota.limit:
        raise _used_up(quota)
    _put(txn, meta, quota._replace(held=quota.held + size))


def check_quota(txn: Txn, meta: lmdb._Database) -> None:
    """Refuses to write rows that do not count themselves where nothing more may be stored.

    Raises:
        QuotaError: The quota is reached.
    """
    quota = read_quota(txn, meta)
    if quota is not None and quota.held >= quota.limit:
        raise _used_up(quota)


def discharge(txn: Txn, meta: lmdb._Database, size: int) -> None:
    """Takes records of `size` bytes, which this write transaction replaces, off the count."""
    quota = read_quota(txn, meta)
    if quota is not None:
        _put(txn, meta, quota._replace(held=max(quota.held - size, 0)))


def recount(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Recounts, if there is a quota: about a millisecond per GiB."""
    quota = read_quota(txn, databases["meta"])
    if quota is not None:
        _put(txn, databases["meta"], quota._replace(held=_live(txn, databases)))


def _live(txn: Txn, databases: Mapping[str, lmdb._Database]) -> int:
    rows = txn.cursor(databases["segment_use"]).iternext(keys=False)
    return sum(decode_segment_use(value).live for value in rows)


def _put(txn: Txn, meta: lmdb._Database, quota: Quota) -> None:
    txn.put(_META_QUOTA, _ROW.pack(*quota), db=meta)


def _decode(value: Buffer) -> Quota:
    try:
        return Quota(*_ROW.unpack(value))
    except struct.error as error:
        raise DamagedStoreError(f"the store has a damaged quota: {error}") from error


def _used_up(quota: Quota) -> QuotaError:
    return QuotaError(
        f"the quota of {format_size(quota.limit)} is reached",
        next_step=MAKE_ROOM,
    )
