"""Giving wanted objects the generation of today, which saves them from a running collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lmdb

from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.rows import decode_generation, renewed

__all__ = ["renew"]


def renew(txn: Txn, databases: Mapping[str, lmdb._Database], keys: Sequence[bytes]) -> set[bytes]:
    """Renews those objects that are here. Writes nothing where nothing is old.

    Args:
        txn: A write transaction.
        databases: LMDB's handles by name.
        keys: Keys of the index, sorted.

    Returns:
        The keys of those that are here.
    """
    if not keys:
        return set()
    today = read_generation(txn, databases["meta"])
    cursor = txn.cursor(databases["index"])
    rows = [(bytes(key), bytes(value)) for key, value in cursor.getmulti(keys)]
    old = [(key, value) for key, value in rows if decode_generation(value) < today]
    if old:
        cursor.putmulti([(key, renewed(value, today)) for key, value in old])
    return {key for key, _ in rows}
