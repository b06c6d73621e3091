"""Gives objects the current generation, which protects them from a running collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lmdb

from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.rows import decode_generation, renewed

__all__ = ["renew"]


def renew(txn: Txn, databases: Mapping[str, lmdb._Database], keys: Sequence[bytes]) -> set[bytes]:
    """Renews those objects that are in the store. Writes nothing if none is old.

    Args:
        txn: A write transaction.
        databases: LMDB's handles by name.
        keys: Index keys, sorted.

    Returns:
        The keys of those objects that are in the store.
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
