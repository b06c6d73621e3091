"""Writes the progress of a job and the origins of names, inside the transaction of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, takewhile
from typing import Final

import lmdb

from casync.jobs.fault import encode_fault
from casync.jobs.half_fetched import encode_part
from casync.jobs.job import JobRow, JobState, encode_job
from casync.jobs.origin import Origin, encode_origin
from casync.names.name import Name
from casync.store.job_rules import ENDED
from casync.store.jobs import JobUpdate
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.jobs.rows import (
    decode_job,
    fault_key,
    job_key,
    part_key,
    part_number,
    parts_prefix,
    stop_key,
)
from casync.store.lmdb.rows import name_key

__all__ = ["delete_below", "put_job", "put_origins", "put_update", "read_job"]

_DELETED_AT_ONCE: Final = 4096
"""Keys that are in memory: an object of a terabyte has a million parts."""

_BEHIND: Final = b"\xff" * 5
"""Behind the number of any part."""


def read_job(txn: Txn, databases: Mapping[str, lmdb._Database], ident: str) -> JobRow | None:
    """The row of a job; None if there is none."""
    value = txn.get(job_key(ident), db=databases["jobs"])
    return decode_job(value) if value is not None else None


def put_job(txn: Txn, databases: Mapping[str, lmdb._Database], row: JobRow) -> None:
    """Writes the row of a job. One that has ended has no request to stop."""
    txn.put(job_key(row.id), encode_job(row), db=databases["jobs"])
    if row.state in ENDED:
        txn.delete(stop_key(row.id), db=databases["jobs"])


def put_update(txn: Txn, databases: Mapping[str, lmdb._Database], update: JobUpdate) -> None:
    """Writes an update that `check_update` let pass."""
    ident = update.row.id
    put_job(txn, databases, update.row)
    for fault in update.faults:
        txn.put(fault_key(ident, fault.index), encode_fault(fault), db=databases["job_faults"])
    if update.row.state is JobState.FINISHED:
        delete_below(txn, databases["job_parts"], job_key(ident))
    for index in update.done:
        delete_below(txn, databases["job_parts"], parts_prefix(ident, index))
    for index, part in update.parts:
        number = _next_part(txn, databases["job_parts"], parts_prefix(ident, index))
        txn.put(part_key(ident, index, number), encode_part(part), db=databases["job_parts"])


def _next_part(txn: Txn, parts: lmdb._Database, prefix: bytes) -> int:
    cursor = txn.cursor(parts)
    behind = cursor.set_range(prefix + _BEHIND)
    key = bytes(cursor.key()) if (cursor.prev() if behind else cursor.last()) else b""
    return part_number(key) + 1 if key.startswith(prefix) else 0


def put_origins(
    txn: Txn, databases: Mapping[str, lmdb._Database], origins: Iterable[tuple[Name, Origin]]
) -> None:
    """Writes where names came from."""
    for name, origin in origins:
        txn.put(name_key(name), encode_origin(origin), db=databases["origins"])


def delete_below(txn: Txn, database: lmdb._Database, prefix: bytes, most: int | None = None) -> int:
    """Deletes the rows whose keys begin with `prefix`.

    Args:
        txn: A write transaction.
        database: LMDB's handle.
        prefix: The beginning of the keys.
        most: Rows to delete at most; None for all.

    Returns:
        How many were deleted.
    """
    deleted = 0
    while most is None or deleted < most:
        step = _DELETED_AT_ONCE if most is None else min(most - deleted, _DELETED_AT_ONCE)
        cursor = txn.cursor(database)
        keys = map(bytes, cursor.iternext(values=False) if cursor.set_range(prefix) else ())
        found = list(islice(takewhile(lambda key: key.startswith(prefix), keys), step))
        for key in found:  # what was read is gone from here on
            txn.delete(key, db=database)
        deleted += len(found)
        if len(found) < step:
            break
    return deleted
