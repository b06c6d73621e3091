"""Walks a database in stretches, each in a short transaction of its own.

Rows that are added or removed meanwhile may or may not be seen; all others are seen exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

from casync.store.lmdb.data_file.checked_rows import Row, rows_from, rows_until
from casync.store.lmdb.environment import Environment

__all__ = ["scan", "scan_back", "scan_keys"]

_PAGE_ROWS: Final = 2000
"""Rows per transaction: about a millisecond."""


def scan(
    environment: Environment, database: str, *, prefix: bytes = b"", first: bytes = b""
) -> Iterator[Row]:
    """The rows whose keys begin with `prefix` and are at least `first`, in order.

    Raises:
        DamagedStoreError: A page on the way is damaged.
    """
    start = max(prefix, first)
    while True:
        page = environment.snapshot(partial(_rows_from, database, start))
        for key, value in page:
            if not key.startswith(prefix):
                return
            yield key, value
        if len(page) < _PAGE_ROWS:
            return
        start = page[-1][0] + b"\0"


def scan_keys(environment: Environment, database: str, *, prefix: bytes = b"") -> Iterator[bytes]:
    """The keys that begin with `prefix`, in order; as `scan`."""
    for key, _ in scan(environment, database, prefix=prefix):
        yield key


def scan_back(environment: Environment, database: str, *, prefix: bytes) -> Iterator[Row]:
    """The rows whose keys begin with `prefix`, from the last to the first.

    The prefix must not end in 0xff.

    Raises:
        DamagedStoreError: A page on the way is damaged.
    """
    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    while True:
        page = environment.snapshot(partial(_rows_until, database, end))
        for key, value in page:
            if not key.startswith(prefix):
                return
            yield key, value
        if len(page) < _PAGE_ROWS:
            return
        end = page[-1][0]


def _rows_from(database: str, first: bytes, fd: int, transaction: int) -> list[Row] | None:
    rows = rows_from(fd, transaction, database, first)
    return None if rows is None else list(islice(rows, _PAGE_ROWS))


def _rows_until(database: str, end: bytes, fd: int, transaction: int) -> list[Row] | None:
    rows = rows_until(fd, transaction, database, end)
    return None if rows is None else list(islice(rows, _PAGE_ROWS))
