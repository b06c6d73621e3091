"""How much a store may hold, when somebody has set a bound: its quota.

What counts are the records that the index points to, as they lie in segments. A store with a quota
keeps their sum in a row that each commit adds to, in its own transaction; a collection, which
alone makes it smaller, counts anew when it is done. A store without one counts nothing. Must not
know whose store it is.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

import lmdb

from casync.errors import DamagedStoreError, QuotaError
from casync.ids import Buffer
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.rows import decode_segment_use

__all__ = ["MAKE_ROOM", "Quota", "charge", "read_quota", "recount", "set_quota"]

MAKE_ROOM: Final = "Remove something (`casync rm`) and have it collected (`casync gc`)."

_META_QUOTA: Final = b"quota"
_ROW: Final = struct.Struct("<QQ")
_MOST: Final = 2**64 - 1
_ROW_BYTES: Final = 64 * 1024  # what a commit of one row writes, generously


class Quota(NamedTuple):
    """Bytes that a store may hold, and those that it holds."""

    limit: int
    held: int


def set_quota(environment: Environment, limit: int) -> None:
    """Sets the bytes that a store may hold; 0 for no bound. What is there stays there.

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
    """The quota; None where there is none."""
    value = txn.get(_META_QUOTA, db=meta)
    return None if value is None else _decode(value)


def charge(txn: Txn, meta: lmdb._Database, size: int) -> None:
    """Counts records of `size` bytes that this write transaction adds.

    Raises:
        QuotaError: They do not fit.
    """
    quota = read_quota(txn, meta)
    if quota is None:
        return
    if quota.held + size > quota.limit:
        raise _used_up(quota)
    _put(txn, meta, quota._replace(held=quota.held + size))


def recount(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Counts anew, where there is a quota: a millisecond or so for each GiB."""
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
        f"the quota of {quota.limit} bytes is used up",
        next_step=MAKE_ROOM,
    )
