"""Where names came from: rows beside those of names, valid while the name has that manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from casync.jobs.origin import Origin
from casync.names.name import Name, NameRecord
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.jobs.rows import decode_origin
from casync.store.lmdb.rows import decode_name, name_key

__all__ = ["each_origin", "find_origins"]

_NAMES_AT_ONCE: Final = 1000
"""Names whose origins one transaction looks up."""


def find_origins(environment: Environment, names: Sequence[Name]) -> list[Origin | None]:
    """As `JobStore.origins_of`."""
    databases = environment.databases
    keys = [name_key(name) if name else b"" for name in names]
    found: list[Origin | None] = []
    with environment.reading() as txn:
        for key in keys:
            value = txn.get(key, db=databases["origins"]) if key else None
            newest = txn.get(key, db=databases["names"]) if value is not None else None
            if value is None or newest is None:
                found.append(None)
                continue
            origin = decode_origin(value)
            is_newest = decode_name(newest).manifest == origin.manifest
            found.append(origin if is_newest else None)
    return found


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
