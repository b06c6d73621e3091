"""Where names came from: rows beside those of names, valid while the name has that manifest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from casync.jobs.origin import Origin
from casync.names.name import Name, NameRecord
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.job_rows import decode_origin
from casync.store.lmdb.rows import decode_name, name_key

__all__ = ["each_origin", "find_origin"]

_NAMES_AT_ONCE: Final = 1000
"""Names whose origins one transaction looks up."""


def find_origin(environment: Environment, name: Name) -> Origin | None:
    """As `JobStore.origin`."""
    databases, key = environment.databases, name_key(name)
    with environment.reading() as txn:
        value = txn.get(key, db=databases["origins"])
        newest = txn.get(key, db=databases["names"]) if value is not None else None
        if value is None or newest is None:
            return None
        origin, record = decode_origin(value), decode_name(newest)
    return origin if record.manifest == origin.manifest else None


def each_origin(
    environment: Environment, records: Iterator[NameRecord]
) -> Iterator[tuple[Name, Origin]]:
    """The names that have an origin.

    Args:
        environment: The store's environment.
        records: The newest versions of names.
    """
    while some := list(islice(records, _NAMES_AT_ONCE)):
        with environment.reading() as txn:
            origins = environment.databases["origins"]
            values = [txn.get(name_key(record.name), db=origins) for record in some]
            found = [decode_origin(value) if value is not None else None for value in values]
        for record, origin in zip(some, found, strict=True):
            if origin is not None and origin.manifest == record.manifest:
                yield Name(record.name), origin
