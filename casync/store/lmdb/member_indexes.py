"""Rows of member indexes: which content is the index of an archive (docs/FORMAT.md section 5.3).

An index is made again when its row is lost, so a malformed row is none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import lmdb

from casync.errors import DamagedStoreError, MalformedError
from casync.ids import ID_BYTES, Buffer
from casync.limits import MAX_CHUNK_SIZE
from casync.objects.node import Content, check_content
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.scan import scan

__all__ = [
    "check_index_rows",
    "decode_indexes",
    "drop_bad_indexes",
    "drop_indexes",
    "each_index",
    "find_index",
    "put_indexes",
]

_DATABASE: Final = "member_indexes"
_VALUE: Final = struct.Struct("<B32sQ")
_MOST_DELETED: Final = 1000
_ROW_BYTES: Final = 64 * 1024


def put_indexes(
    txn: Txn, databases: Mapping[str, lmdb._Database], rows: Iterable[tuple[bytes, Content]]
) -> None:
    """Writes rows of a batch."""
    for archive, index in sorted(rows):
        value = _VALUE.pack(index.level, index.id, index.length)
        txn.put(archive, value, db=databases[_DATABASE])


def find_index(environment: Environment, archive: bytes) -> Content | None:
    """As `IndexedStore.member_index`."""
    if _DATABASE not in environment.databases:
        return None
    with environment.reading() as txn:
        value = txn.get(archive, db=environment.databases[_DATABASE])
        with suppress(DamagedStoreError):
            return None if value is None else _decode(archive, value)
    return None


def each_index(environment: Environment) -> Iterator[tuple[bytes, Content]]:
    """As `Collection.member_indexes`."""
    if _DATABASE in environment.databases:
        yield from decode_indexes(scan(environment, _DATABASE))


def decode_indexes(rows: Iterable[tuple[bytes, Buffer]]) -> Iterator[tuple[bytes, Content]]:
    """Reads rows; leaves out malformed ones."""
    for key, value in rows:
        with suppress(DamagedStoreError):
            yield key, _decode(key, value)


def drop_indexes(environment: Environment, archives: Sequence[bytes]) -> None:
    """As `Collection.drop_indexes`."""
    for start in range(0, len(archives), _MOST_DELETED):
        part = sorted(archives[start : start + _MOST_DELETED])
        environment.write(partial(_drop, environment, part), need=_ROW_BYTES)


def _drop(environment: Environment, archives: Sequence[bytes], txn: Txn) -> None:
    environment.leaves.check(txn.id(), _DATABASE, archives)
    for archive in archives:
        txn.delete(archive, db=environment.databases[_DATABASE])


def check_index_rows(environment: Environment) -> None:
    """Checks every row.

    Raises:
        DamagedStoreError: One is malformed.
    """
    if _DATABASE in environment.databases:
        for key, value in scan(environment, _DATABASE):
            _decode(key, value)


def drop_bad_indexes(txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
    """Drops malformed rows.

    Args:
        txn: A write transaction on a store whose pages are sound.
        databases: LMDB's handles by name.
    """
    bad: list[bytes] = []
    for found, value in txn.cursor(databases[_DATABASE]).iternext():
        try:
            _decode(found, value)
        except DamagedStoreError:
            bad.append(bytes(found))
    for key in bad:
        txn.delete(key, db=databases[_DATABASE])


def _decode(key: Buffer, value: Buffer) -> Content:
    try:
        content = Content(*_VALUE.unpack(value))
        check_content(content, MAX_CHUNK_SIZE)
    except (struct.error, MalformedError) as error:
        raise _damaged() from error
    if len(key) != ID_BYTES or not content.length:
        raise _damaged()
    return content


def _damaged() -> DamagedStoreError:
    return DamagedStoreError(f"the store has a damaged {_DATABASE} row", next_step=REBUILD)
