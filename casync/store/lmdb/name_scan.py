"""Walks names in their own order, which long ones do not have by their keys, and versions."""

from __future__ import annotations

from collections.abc import Iterator

from casync.names.name import Name, NameRecord
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.rows import decode_name, name_key, name_stem, version_key
from casync.store.lmdb.scan import scan

__all__ = ["each_name", "name_versions"]


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


def name_versions(environment: Environment, name: Name) -> list[NameRecord]:
    """As `ManifestSource.history`."""
    length = len(version_key(name, 0))
    rows = scan(environment, "name_log", prefix=name_key(name) + b"\0")
    records = [decode_name(value) for key, value in rows if len(key) == length]
    return [record for record in records if record.name == name]
