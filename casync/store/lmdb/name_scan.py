"""Walks names in their own order, which that of their keys is not where names are long."""

from __future__ import annotations

from collections.abc import Iterator

from casync.names.name import NameRecord
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.rows import decode_name, name_stem
from casync.store.lmdb.scan import scan

__all__ = ["each_name"]


def each_name(environment: Environment, prefix: str) -> Iterator[NameRecord]:
    """As `ManifestSource.names`."""
    group: list[NameRecord] = []  # names too long for their keys to be in order
    stem = b""
    for key, value in scan(environment, "names", prefix=name_stem(prefix)):
        record = decode_name(value)
        if group and name_stem(record.name) != stem:
            yield from sorted(group, key=lambda record: record.name)
            group = []
        if key == record.name.encode():
            if record.name.startswith(prefix):
                yield record
        elif record.name.startswith(prefix):
            stem = name_stem(record.name)
            group.append(record)
    yield from sorted(group, key=lambda record: record.name)
