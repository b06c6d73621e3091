"""Rows of a run in columns: a store has many millions, and an object for each would cost most."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from operator import add, le, lt
from typing import Final, NamedTuple

from casync.bucket.segment_head import SEGMENT_HEAD_BYTES
from casync.errors import MalformedError
from casync.ids import ID_BYTES, Buffer
from casync.limits import MAX_CHUNK_SIZE
from casync.objects.record import RECORD_BYTES

__all__ = ["DISORDER", "GONE", "ROW_BYTES", "RowColumns", "decode_columns"]

GONE: Final = 2**32 - 1
"""The segment of a row that deletes its object."""

DISORDER: Final = "run whose rows are not in order"

_ID: Final = struct.Struct(f"{ID_BYTES}s20x")
_ID_WORDS: Final = ID_BYTES // 4
_ROW_WORDS: Final = _ID_WORDS + 5

ROW_BYTES: Final = 4 * _ROW_WORDS
"""Bytes of a row."""


class RowColumns(NamedTuple):
    """Rows in their order, as columns of `RunRow`."""

    ids: list[bytes]
    segments: Sequence[int]
    offsets: Sequence[int]
    stored: Sequence[int]
    lengths: Sequence[int]
    generations: Sequence[int]


def decode_columns(table: Buffer, sizes: Sequence[int]) -> RowColumns:
    """Reads rows of one kind.

    Args:
        table: The bytes of whole rows.
        sizes: Bytes of each segment of the run.

    Raises:
        MalformedError: They are not in order, or a record cannot lie where a row says.
    """
    ids = [ident for (ident,) in _ID.iter_unpack(table)]
    if not all(map(lt, ids, ids[1:])):
        raise MalformedError(DISORDER)
    words = array("I")
    words.frombytes(table)
    if sys.byteorder == "big":
        words.byteswap()
    columns = [words[_ID_WORDS + at :: _ROW_WORDS] for at in range(5)]
    there = columns
    if GONE in columns[0]:
        kept = [row for row in zip(*columns, strict=True) if row[0] != GONE]
        gone = [row for row in zip(*columns, strict=True) if row[0] == GONE]
        if any(any(row[1:]) for row in gone):
            raise MalformedError("run with an impossible row")
        there = [array("I", column) for column in zip(*kept, strict=True)]
    if there and there[0] and not _are_possible(there, sizes):
        raise MalformedError("run with an impossible row")
    return RowColumns(ids, *columns)


def _are_possible(columns: Sequence[Sequence[int]], sizes: Sequence[int]) -> bool:
    """Whether records can lie where rows say, which are not those of objects that are gone."""
    segments, offsets, stored, lengths, _ = columns
    if max(segments) >= len(sizes) or max(lengths) > MAX_CHUNK_SIZE or not min(stored):
        return False
    last = [size - RECORD_BYTES for size in sizes]
    return (
        min(offsets) >= SEGMENT_HEAD_BYTES
        and all(map(le, stored, lengths))
        and all(map(le, map(add, offsets, stored), map(last.__getitem__, segments)))
    )
