"""Proves that the roots of a store are whole, before anything that they protect is deleted.

A collection deletes what no root leads to, so a root that damage hides costs data. What can be
compared is: the rows that a cursor sees with LMDB's own count, keys with the rows that they stand
for, and what versions of names, the trash and open pushes point to with what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeAlias

import lmdb

from casync.errors import DamagedStoreError
from casync.ids import ID_BYTES
from casync.names.name import NameRecord
from casync.store.base import ManifestState
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.push_rows import GIVEN_UP, decode_push
from casync.store.lmdb.rows import (
    decode_file,
    decode_manifest_row,
    decode_meta_number,
    decode_name,
    decode_number,
    file_key,
    name_key,
    version_key,
)
from casync.store.lmdb.trash_rows import (
    LAST_REMOVED,
    REMOVED_MANIFESTS,
    REMOVED_VERSIONS,
    decode_removed_manifest,
    decode_removed_version,
    removed_version_key,
)
from casync.store.push import PUSH_ID_BYTES

__all__ = ["NAME_TABLES", "all_rows", "check_names", "check_roots", "drop_bad_rows"]

NAME_TABLES: Final = ("manifests", "names", "name_log", "trash")
"""Databases that say which manifests are wanted."""

_PATH: Final = b"p"
_Judge: TypeAlias = Callable[[bytes, bytes], None]


def all_rows(
    txn: Txn, databases: Mapping[str, lmdb._Database], database: str
) -> list[tuple[bytes, bytes]]:
    """Copies of all rows of a database; none if the store lacks it.

    Raises:
        DamagedStoreError: They are not as many as LMDB counts.
    """
    if database not in databases:
        return []
    cursor = txn.cursor(databases[database])
    rows = [(bytes(key), bytes(value)) for key, value in cursor.iternext()]
    count = txn.stat(databases[database])["entries"]
    if len(rows) != count:
        raise DamagedStoreError(
            f"the store shows {len(rows)} of {count} rows of {database}", next_step=REBUILD
        )
    return rows


def check_roots(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Checks everything that keeps objects from being collected.

    Args:
        txn: A transaction that has written nothing yet.
        databases: LMDB's handles by name.

    Raises:
        DamagedStoreError: Something contradicts itself.
    """
    check_names(txn, databases)
    for database, judge in _judges(read_generation(txn, databases["meta"])).items():
        for key, value in all_rows(txn, databases, database):
            judge(key, value)


def check_names(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Checks that each version of a name, here or in the trash, has its manifest.

    Args and Raises are those of `check_roots`.
    """
    full: set[bytes] = set()
    for key, value in all_rows(txn, databases, "manifests"):
        row = decode_manifest_row(key, value)
        _check(len(key) == ID_BYTES, "manifests")
        if row.state is ManifestState.FULL:
            full.add(key)
    for key, value in all_rows(txn, databases, "name_log"):
        record = decode_name(value)
        _check(key == version_key(record.name, record.version), "name_log")
        _check_manifest(record, full)
    for key, value in all_rows(txn, databases, "names"):
        record = decode_name(value)
        _check(key == name_key(record.name), "names")
        _check_manifest(record, full)
    trash = all_rows(txn, databases, "trash")
    judge = _trash_judge(full | _removed(trash))
    for key, value in trash:
        judge(key, value)


def drop_bad_rows(
    txn: Txn, databases: Mapping[str, lmdb._Database], whole: Collection[bytes], generation: int
) -> None:
    """Drops what `check_roots` refuses, where nothing else can be made of it.

    Args:
        txn: A write transaction.
        databases: LMDB's handles by name.
        whole: Manifests with everything below them.
        generation: The store's.
    """
    for database, judge in _judges(generation).items():
        _drop(txn, databases, database, judge)

    def judge_removed(key: bytes, _: bytes) -> None:
        _check(key[:1] != REMOVED_MANIFESTS or key[1:] in whole, "trash")

    _drop(txn, databases, "trash", judge_removed)
    here = {*whole, *_removed(all_rows(txn, databases, "trash"))}
    _drop(txn, databases, "trash", _trash_judge(here))


def _drop(txn: Txn, databases: Mapping[str, lmdb._Database], database: str, judge: _Judge) -> None:
    for key, value in all_rows(txn, databases, database):
        try:
            judge(key, value)
        except DamagedStoreError:
            txn.delete(key, db=databases[database])


def _judges(generation: int) -> dict[str, _Judge]:
    """What checks a row of each database that keeps objects without a name."""

    def push(key: bytes, value: bytes) -> None:
        floor = decode_push(value).floor
        _check(len(key) == PUSH_ID_BYTES and (floor <= generation or floor == GIVEN_UP), "pushes")

    def writer(key: bytes, value: bytes) -> None:
        decode_number(key)
        _check(decode_meta_number(value) <= generation, "writers")

    return {"pushes": push, "writers": writer, "seeds": _judge_file}


def _judge_file(key: bytes, value: bytes) -> None:
    if key[:1] == file_key(0)[:1]:
        decode_number(key[1:])
        decode_file(value)
    else:
        _check(key[:1] == _PATH and len(key) == 1 + ID_BYTES, "seeds")
        decode_number(value)


def _trash_judge(here: Collection[bytes]) -> _Judge:
    """What checks a row of the trash; `here` are manifests that versions may point to."""

    def judge(key: bytes, value: bytes) -> None:
        if key[:1] == REMOVED_VERSIONS:
            record = decode_removed_version(value).record
            _check(key == removed_version_key(record.name, record.version), "trash")
            _check_manifest(record, here)
            return
        _check(len(key) == 1 + ID_BYTES, "trash")
        if key[:1] == REMOVED_MANIFESTS:
            decode_removed_manifest(value)
        else:
            _check(key[:1] == LAST_REMOVED, "trash")
            decode_number(value)

    return judge


def _removed(trash: list[tuple[bytes, bytes]]) -> set[bytes]:
    return {key[1:] for key, _ in trash if key[:1] == REMOVED_MANIFESTS}


def _check(condition: bool, database: str) -> None:
    if not condition:
        raise DamagedStoreError(f"the store has a damaged {database} row", next_step=REBUILD)


def _check_manifest(record: NameRecord, here: Collection[bytes]) -> None:
    if record.manifest not in here:
        raise DamagedStoreError(
            f"{record.name}@{record.version} points to manifest {record.manifest.hex()}, "
            "which the store lacks",
            next_step=REBUILD,
        )
