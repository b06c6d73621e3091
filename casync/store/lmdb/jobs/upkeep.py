"""Upkeep of the rows of jobs: removing jobs, and rows that mean nothing (any more)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

import lmdb

from casync.errors import DamagedStoreError
from casync.ids import ChunkId
from casync.jobs.job import JobRow, JobState
from casync.store.job_rules import expired
from casync.store.lmdb.databases import JOB_DATABASES
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.claim import lock_job
from casync.store.lmdb.jobs.commit import delete_below, read_job
from casync.store.lmdb.jobs.rows import (
    block_key,
    decode_block,
    decode_fault,
    decode_items_of,
    decode_job,
    decode_origin,
    decode_part,
    decode_time,
    fault_key,
    is_job_key,
    job_key,
    job_of,
    object_index,
    part_key,
    part_number,
    stop_key,
)
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.rows import decode_name
from casync.store.lmdb.scan import scan

__all__ = [
    "JOB_TABLES",
    "check_jobs",
    "drop_bad_jobs",
    "half_fetched_chunks",
    "remove_rows",
    "sweep_jobs",
]

JOB_TABLES: Final = ("jobs", "job_items", "job_faults", "job_parts")
"""Databases whose keys hold the id of a job."""

_BELOW: Final = JOB_TABLES[1:]
_MOST_DELETED: Final = 1000
"""Rows that one transaction deletes: a block of items takes several pages."""

_BEHIND: Final = b"\xff" * 16
"""Behind all rows of a job."""

_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes


def remove_rows(environment: Environment, ident: str) -> None:
    """Removes a job whose byte the caller has locked, and everything that belongs to it.

    Raises:
        NoSpaceError, WriteError: The store cannot be written.
    """
    databases = environment.databases

    def forget(txn: Txn) -> None:
        txn.delete(job_key(ident), db=databases["jobs"])
        txn.delete(stop_key(ident), db=databases["jobs"])

    environment.write(forget, need=_ROW_BYTES)  # from here on its other rows mean nothing
    for name in _BELOW:
        _clear(environment, name, ident)


def _clear(environment: Environment, name: str, ident: str, *, orphans: bool = False) -> int:
    """Deletes the rows of a job in a database, in several transactions.

    Args:
        environment: The store's environment.
        name: The database.
        ident: The job.
        orphans: Only if the job is gone.

    Returns:
        Their number.
    """
    databases = environment.databases

    def clear(txn: Txn) -> int:
        if orphans and txn.get(job_key(ident), db=databases["jobs"]) is not None:
            return 0  # it has been made since
        environment.leaves.check(txn.id(), name)
        return delete_below(txn, databases[name], job_key(ident), _MOST_DELETED)

    cleared = done = environment.write(clear, need=_ROW_BYTES)
    while done == _MOST_DELETED:
        done = environment.write(clear, need=_ROW_BYTES)
        cleared += done
    return cleared


# -- Collections ----------------------------------------------------------------------------------


def sweep_jobs(environment: Environment, now: int) -> int:
    """As `Collection.sweep_jobs`. Malformed rows stay, for `verify` to find.

    Args:
        environment: The store's environment.
        now: Seconds since 1970.

    Raises:
        NoSpaceError, WriteError: The store cannot be written.
    """
    rows = list(_sound_jobs(environment))
    removed = 0
    old = {row.id for row in expired(rows, now)}
    for row in rows:
        if row.state is not JobState.FINISHED:
            continue
        locks = lock_job(environment.path, row.id) if row.id in old else None
        if locks is None:
            removed += _clear(environment, "job_items", row.id)
            continue
        try:
            remove_rows(environment, row.id)
        finally:
            locks.close()
        removed += 1
    for name in _BELOW:
        for ident in _jobs_in(environment, name):
            removed += _clear(environment, name, ident, orphans=True)
    return removed + _sweep_origins(environment)


def half_fetched_chunks(environment: Environment) -> Iterator[list[ChunkId]]:
    """As `Collection.half_fetched`."""
    if "job_parts" not in environment.databases:
        return
    here = {row.id for row in _sound_jobs(environment)}
    for key, value in scan(environment, "job_parts"):
        if job_of(key) in here:
            with suppress(DamagedStoreError):
                yield decode_part(value).ids()


def _sound_jobs(environment: Environment) -> Iterator[JobRow]:
    for key, value in scan(environment, "jobs"):
        if is_job_key(key):
            with suppress(DamagedStoreError):
                yield decode_job(value)


def _jobs_in(environment: Environment, name: str) -> list[str]:
    """The jobs that have rows in a database."""
    found: list[str] = []
    first = b""
    while (row := next(scan(environment, name, first=first), None)) is not None:
        first = row[0] + b"\0"
        if ident := job_of(row[0]):
            found.append(ident)
            first = job_key(ident) + _BEHIND
    return found


def _sweep_origins(environment: Environment) -> int:
    databases = environment.databases
    keys = (key for key, _ in scan(environment, "origins"))
    removed = 0
    while some := list(islice(keys, _MOST_DELETED)):
        with environment.reading() as txn:
            stale = [key for key in some if _is_stale(txn, databases, key)]
        if stale:
            removed += environment.write(partial(_drop_stale, databases, stale), need=_ROW_BYTES)
    return removed


def _is_stale(txn: Txn, databases: Mapping[str, lmdb._Database], key: bytes) -> bool:
    """Whether an origin is of another manifest than the newest version of its name has."""
    value, newest = (txn.get(key, db=databases[name]) for name in ("origins", "names"))
    if value is None or newest is None:
        return value is not None
    with suppress(DamagedStoreError):
        return decode_origin(value).manifest != decode_name(newest).manifest
    return False


def _drop_stale(databases: Mapping[str, lmdb._Database], keys: list[bytes], txn: Txn) -> int:
    stale = [key for key in keys if _is_stale(txn, databases, key)]
    for key in stale:
        txn.delete(key, db=databases["origins"])
    return len(stale)


# -- Damage ---------------------------------------------------------------------------------------


def check_jobs(environment: Environment) -> None:
    """Checks every row of jobs and origins.

    Raises:
        DamagedStoreError: One is malformed.
    """
    for name in JOB_DATABASES:
        if name in environment.databases:
            for key, value in scan(environment, name):
                _judge(name, key, value)


def drop_bad_jobs(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Drops malformed rows of jobs and origins, and those of jobs that are gone.

    Args:
        txn: A write transaction on a store whose pages are sound.
        databases: LMDB's handles by name.
    """
    for name in JOB_DATABASES:
        rows = txn.cursor(databases[name]).iternext()
        bad = [key for key, value in _copies(rows) if _is_bad(txn, databases, name, key, value)]
        for key in bad:
            txn.delete(key, db=databases[name])


def _copies(rows: Iterator[tuple[memoryview, memoryview]]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in rows:
        yield bytes(key), bytes(value)


def _is_bad(
    txn: Txn, databases: Mapping[str, lmdb._Database], name: str, key: bytes, value: bytes
) -> bool:
    try:
        _judge(name, key, value)
        own = name not in JOB_TABLES or is_job_key(key)
        return not own and read_job(txn, databases, job_of(key)) is None
    except DamagedStoreError:
        return True


def _judge(name: str, key: bytes, value: bytes) -> None:
    """Checks one row; DamagedStoreError if it is malformed."""
    if name == "origins":
        decode_origin(value)
        return
    ident = job_of(key)
    if name == "jobs":
        if is_job_key(key):
            good = decode_job(value).id == ident
        else:
            decode_time(value)
            good = key == stop_key(ident)
    elif name == "job_faults":
        good = key == fault_key(ident, decode_fault(value).index)
    elif name == "job_parts":
        decode_part(value)
        good = key == part_key(ident, object_index(key), part_number(key))
    else:
        block = decode_block(value)
        if not block.sealed:
            decode_items_of(block.frame, block.items)
        good = key == block_key(ident, object_index(key))
    if not good or not ident:
        raise _damaged(name)


def _damaged(name: str) -> DamagedStoreError:
    return DamagedStoreError(f"the store has a damaged {name} row", next_step=REBUILD)
