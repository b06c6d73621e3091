"""Walks a database in stretches, each in a short transaction of its own.

Rows that are added or removed meanwhile may or may not be seen; all others are seen exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Final

from casync.store.lmdb.data_file.checked_rows import Row, rows_from, rows_until
from casync.store.lmdb.environment import Environment

__all__ = ["scan", "scan_back", "scan_keys"]

_FIRST_ROWS: Final = 32
"""Rows of the first transaction: many a prefix has few, and many a reader stops early."""

_PAGE_ROWS: Final = 2000
"""Rows of a later transaction at most: about a millisecond."""


def scan(
    environment: Environment, database: str, *, prefix: bytes = b"", first: bytes = b""
) -> Iterator[Row]:
    """The rows whose keys begin with `prefix` and are at least `first`, in order.

    Raises:
        DamagedStoreError: A page on the way is damaged.
    """
    start, count = max(prefix, first), _FIRST_ROWS
    while True:
        page = environment.snapshot(partial(_rows_from, database, prefix, start, count))
        yield from page
        if len(page) < count:
            return
        start, count = page[-1][0] + b"\0", min(4 * count, _PAGE_ROWS)


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
    end, count = prefix[:-1] + bytes((prefix[-1] + 1,)), _FIRST_ROWS
    while True:
        page = environment.snapshot(partial(_rows_until, database, prefix, end, count))
        yield from page
        if len(page) < count:
            return
        end, count = page[-1][0], min(4 * count, _PAGE_ROWS)


def _rows_from(
    database: str, prefix: bytes, first: bytes, count: int, fd: int, transaction: int
) -> list[Row] | None:
    return _some(rows_from(fd, transaction, database, first), prefix, count)


def _rows_until(
    database: str, prefix: bytes, end: bytes, count: int, fd: int, transaction: int
) -> list[Row] | None:
    return _some(rows_until(fd, transaction, database, end), prefix, count)


def _some(rows: Iterator[Row] | None, prefix: bytes, count: int) -> list[Row] | None:
    """The next rows with a prefix; None if they cannot be read in this transaction."""
    if rows is None:
        return None
    return list(islice(takewhile(lambda row: row[0].startswith(prefix), rows), count))
