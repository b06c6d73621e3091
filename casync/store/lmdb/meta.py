"""The rows of `meta`: the store's format, id and generation.

A store of a newer format is refused here, before anything else of it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import lmdb

from casync.errors import DamagedStoreError, UnsupportedError
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import (
    FORMAT,
    META_FORMAT,
    META_GENERATION,
    META_STORE,
    decode_meta_number,
    encode_number,
)
from casync.store.lmdb.segment import STORE_ID_BYTES

__all__ = ["FIRST_GENERATION", "StoreMeta", "read_generation", "read_meta", "write_meta"]

FIRST_GENERATION = 1


class StoreMeta(NamedTuple):
    """The rows of `meta`; None or empty where a row is missing.

    Attributes:
        format: Version of the store's format, never newer than this program's.
        store_id: The 16 bytes of a UUID.
        generation: Increases with every collection.
    """

    format: int | None
    store_id: bytes
    generation: int | None


def read_meta(txn: Txn, meta: lmdb._Database, path: Path) -> StoreMeta:
    """Reads the meta rows of the store in the folder `path`.

    Raises:
        UnsupportedError: The store is newer than this program.
        DamagedStoreError: A row is not a number.
    """
    found = txn.get(META_FORMAT, db=meta)
    version = decode_meta_number(found) if found is not None else None
    if version is not None and version > FORMAT:
        raise UnsupportedError(
            f"store {path} has format {version}; this program supports up to {FORMAT}",
            next_step="Use a newer casync.",
        )
    store_id = bytes(txn.get(META_STORE, default=b"", db=meta))
    found = txn.get(META_GENERATION, db=meta)
    generation = decode_meta_number(found) if found is not None else None
    return StoreMeta(version, store_id if len(store_id) == STORE_ID_BYTES else b"", generation)


def read_generation(txn: Txn, meta: lmdb._Database) -> int:
    """The store's generation; DamagedStoreError if it is missing."""
    value = txn.get(META_GENERATION, db=meta)
    if value is None:
        raise DamagedStoreError("the store has no generation")
    return decode_meta_number(value)


def write_meta(txn: Txn, meta: lmdb._Database, store_id: bytes, generation: int) -> None:
    """Writes all meta rows, in this program's format."""
    txn.put(META_FORMAT, encode_number(FORMAT), db=meta)
    txn.put(META_STORE, store_id, db=meta)
    txn.put(META_GENERATION, encode_number(generation), db=meta)
