"""Walks a database in pages, each in a short transaction of its own.

Rows that are added or removed meanwhile may or may not be seen; all others are seen exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from casync.store.lmdb.environment import Environment

__all__ = ["scan", "scan_back", "scan_keys"]

_PAGE_ROWS: Final = 2000
"""Rows per transaction: about a millisecond."""


def scan(
    environment: Environment, database: str, *, prefix: bytes = b"", first: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """Copies of the rows whose keys begin with `prefix` and are at least `first`, in order."""
    start = max(prefix, first)
    while True:
        with environment.reading() as txn:
            cursor = txn.cursor(environment.databases[database])
            page: list[tuple[bytes, bytes]] = []
            if cursor.set_range(start) if start else cursor.first():
                rows = islice(cursor.iternext(), _PAGE_ROWS)
                page = [(bytes(key), bytes(value)) for key, value in rows]
        for key, value in page:
            if not key.startswith(prefix):
                return
            yield key, value
        if len(page) < _PAGE_ROWS:
            return
        start = page[-1][0] + b"\0"


def scan_keys(environment: Environment, database: str, *, prefix: bytes = b"") -> Iterator[bytes]:
    """Copies of the keys that begin with `prefix`, in order."""
    start = prefix
    while True:
        with environment.reading() as txn:
            cursor = txn.cursor(environment.databases[database])
            page: list[bytes] = []
            if cursor.set_range(start) if start else cursor.first():
                keys = islice(cursor.iternext(values=False), _PAGE_ROWS)
                page = [bytes(key) for key in keys]
        for key in page:
            if not key.startswith(prefix):
                return
            yield key
        if len(page) < _PAGE_ROWS:
            return
        start = page[-1] + b"\0"


def scan_back(
    environment: Environment, database: str, *, prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Copies of the rows whose keys begin with `prefix`, from the last to the first.

    The prefix must not end in 0xff.
    """
    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    while True:
        with environment.reading() as txn:
            cursor = txn.cursor(environment.databases[database])
            page: list[tuple[bytes, bytes]] = []
            if cursor.prev() if cursor.set_range(end) else cursor.last():
                rows = islice(cursor.iterprev(), _PAGE_ROWS)
                page = [(bytes(key), bytes(value)) for key, value in rows]
        for key, value in page:
            if not key.startswith(prefix):
                return
            yield key, value
        if len(page) < _PAGE_ROWS:
            return
        end = page[-1][0]
