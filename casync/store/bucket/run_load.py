"""Brings the tables of a host over many rows of runs, in the order of keys and in small steps.

Ids are random, so rows that are applied run by run touch all pages of the index again and again. So
all runs are merged while they are read. A step is a transaction, and the last one moves the tables
on; if that is not reached, the steps are done again, and find most rows as they should be. Rows
ahead of the others are harmless meanwhile: objects that are there already, or not any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter, lt
from typing import Final, TypeAlias

import lmdb

from casync.bucket.run import SegmentSize
from casync.bucket.run_columns import GONE, RowColumns
from casync.ids import Kind
from casync.objects.record import RECORD_BYTES
from casync.store.bucket.run_file import RunFile
from casync.store.bucket.tables import (
    PAYLOADS,
    apply_changes,
    count_live,
    empty_shared,
    number_of,
    set_use,
)
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import decode_places, encode_index_columns, index_prefix

__all__ = ["RunLoad"]

_STEP_ROWS: Final = 1 << 17
"""Rows of a step: some 60 MiB."""

_KINDS: Final = tuple(sorted(Kind))
"""In the order of the index."""

_Databases: TypeAlias = Mapping[str, lmdb._Database]
_Item: TypeAlias = tuple[bytes, bytes | None]
"""A row of the index; None for one that is deleted."""


class RunLoad:
    """Applies runs to the tables of a host.

    Args:
        files: The runs, the oldest first.
        databases: LMDB's handles by name.
        whole: Whether the runs are the whole store: rows that they do not have are deleted.
    """

    def __init__(self, files: Sequence[RunFile], databases: _Databases, *, whole: bool) -> None:
        self._files = files
        self._databases = databases
        self._whole = whole
        self._numbers: list[list[int]] = []
        self._sizes: dict[int, int] = {}
        self._live: Counter[int] = Counter()

    def steps(self) -> Iterator[Callable[[Txn], None]]:
        """What to do in transactions, one after the other, before `finish`.

        Raises:
            MalformedError: A run is malformed.
        """
        yield self._number
        for kind in _KINDS:
            yield from self._steps_of(kind)

    def finish(self, txn: Txn) -> None:
        """Changes all other tables.

        Raises:
            UnsupportedError: A table is unknown to this program.
        """
        changes = {
            (table, key): value for file in self._files for table, key, value in file.changes
        }
        if self._whole:
            empty_shared(txn, self._databases)
            set_use(txn, self._databases, self._sizes, self._live)
        else:
            for number, size in sorted(self._sizes.items()):
                count_live(txn, self._databases, number, 0, size)
        ordered = sorted(changes.items(), key=itemgetter(0))
        apply_changes(txn, self._databases, [(*place, value) for place, value in ordered])

    def _number(self, txn: Txn) -> None:
        """Gives numbers to all segments."""
        known: dict[SegmentSize, int] = {}
        for file in self._files:
            for segment in file.segments:
                if segment not in known:
                    known[segment] = number_of(txn, self._databases, segment)
        self._numbers = [[known[segment] for segment in file.segments] for file in self._files]
        self._sizes = {number: segment.size for segment, number in known.items()}

    def _steps_of(self, kind: Kind) -> Iterator[Callable[[Txn], None]]:
        counts = [file.count(kind) for file in self._files]
        for file, count in zip(self._files, counts, strict=True):
            file.begin(kind, _STEP_ROWS * count // max(sum(counts), 1))
        prefix = index_prefix(kind)
        start: bytes = prefix
        while True:
            bound = min((last for file in self._files if (last := file.look())), default=None)
            items: list[_Item] = []
            for file, numbers in zip(self._files, self._numbers, strict=True):
                items += _items(prefix, file.take(bound), numbers)
            items.sort(key=itemgetter(0))  # of equal ones the latest run's is the last
            keys = [key for key, _ in items]
            if not all(map(lt, keys, keys[1:])):
                items = list(dict(items).items())
                keys = [key for key, _ in items]
            if self._whole:
                _add_sizes(self._live, [value for _, value in items if value is not None], 1)
            end = prefix + bound if bound is not None else None
            yield partial(self._put, keys, items, start, end)
            if end is None:
                return
            start = end + b"\0"

    def _put(
        self, keys: list[bytes], items: list[_Item], start: bytes, end: bytes | None, txn: Txn
    ) -> None:
        """Puts rows, whose keys are from `start` up to `end`, or to the last of their kind."""
        cursor = txn.cursor(self._databases["index"])
        is_last = not cursor.last() or bytes(cursor.key()) < start
        before: dict[bytes, bytes] = {}
        if not is_last:
            before = _between(cursor, start, end) if self._whole else _rows(cursor, keys)
        gone: list[bytes] = []
        if self._whole and before:
            gone = sorted(before.keys() - set(keys))
        if before:
            gone += [key for key, value in items if value is None and key in before]
            items = [each for each in items if before.get(each[0]) != each[1]]
        rows = [(key, value) for key, value in items if value is not None]
        cursor.putmulti(rows, append=is_last)
        for key in gone:
            txn.delete(key, db=self._databases["index"])
            txn.delete(key, db=self._databases[PAYLOADS])
        if self._whole:
            return
        live: Counter[int] = Counter()
        _add_sizes(live, [value for _, value in rows], 1)
        changed = [before[key] for key, _ in rows if key in before]
        _add_sizes(live, [*changed, *(before[key] for key in gone)], -1)
        for number in sorted(live):
            count_live(txn, self._databases, number, live[number], None)


def _items(prefix: bytes, columns: RowColumns, numbers: Sequence[int]) -> Iterable[_Item]:
    """Rows of the index."""
    keys = map(prefix.__add__, columns.ids)
    _, segments, offsets, stored, lengths, generations = columns
    is_gone = GONE in segments
    places = [0 if at == GONE else numbers[at] for at in segments] if is_gone else None
    values: Iterable[bytes | None] = encode_index_columns(
        places or map(numbers.__getitem__, segments), offsets, stored, lengths, generations
    )
    if is_gone:
        rows = zip(segments, values, strict=True)
        values = (None if segment == GONE else value for segment, value in rows)
    return zip(keys, values, strict=True)


def _between(
    cursor: lmdb.Cursor[memoryview], start: bytes, end: bytes | None
) -> dict[bytes, bytes]:
    """The rows with keys from `start` up to `end`, or to the last of the same kind."""
    found: dict[bytes, bytes] = {}
    if cursor.set_range(start):
        for key, value in cursor.iternext():
            copied = bytes(key)
            if copied[:1] != start[:1] or (end is not None and copied > end):
                break
            found[copied] = bytes(value)
    return found


def _rows(cursor: lmdb.Cursor[memoryview], keys: list[bytes]) -> dict[bytes, bytes]:
    return {bytes(key): bytes(value) for key, value in cursor.getmulti(keys)}


def _add_sizes(live: Counter[int], values: Iterable[bytes], sign: int) -> None:
    """Adds the bytes of records to those of their segments."""
    for number, stored in decode_places(values):
        live[number] += sign * (RECORD_BYTES + stored)
