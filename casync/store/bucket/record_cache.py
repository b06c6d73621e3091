"""Keeps records in memory that were read from a bucket, the last used ones up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from casync.bucket.keys import SessionPart

__all__ = ["RecordCache", "RecordKey"]


class RecordKey(NamedTuple):
    """Where a record lies in the bucket, where nothing else will ever lie."""

    segment: SessionPart
    offset: int


class RecordCache:
    """Records by their places. Safe for threads.

    Args:
        limit: Bytes of records to keep; 0 for none.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._size = 0
        self._records: OrderedDict[RecordKey, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, place: RecordKey) -> bytes | None:
        """The record at a place, if it is kept."""
        with self._lock:
            record = self._records.get(place)
            if record is not None:
                self._records.move_to_end(place)
            return record

    def put(self, place: RecordKey, record: bytes) -> None:
        """Keeps a whole record."""
        if len(record) > self._limit:
            return
        with self._lock:
            self._size += len(record) - len(self._records.pop(place, b""))
            self._records[place] = record
            while self._size > self._limit:
                self._size -= len(self._records.popitem(last=False)[1])
