"""The bytes of segments (docs/FORMAT.md section 5.1): a header, then records without gaps."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Final, NamedTuple

from casync.errors import MalformedError, UnsupportedError
from casync.ids import Buffer
from casync.limits import SEGMENT_BYTES
from casync.objects.record import RECORD_MARK, SegmentRecord, sound_record

__all__ = [
    "HEADER_BYTES",
    "SEGMENT_MAGIC",
    "STORE_ID_BYTES",
    "Filler",
    "Header",
    "RecordPlace",
    "decode_header",
    "records",
]

SEGMENT_MAGIC: Final = b"\x8dcasSEG\n"
STORE_ID_BYTES: Final = 16
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<8sHHI16sQ")  # magic, format, flags, used, store, number
HEADER_BYTES: Final = _HEADER.size
_NEARLY_FULL: Final = SEGMENT_BYTES - 64 * 1024  # rewriting 1 MiB to add less is wasteful


class Header(NamedTuple):
    """The header of a segment. `used` counts its bytes, including the header."""

    used: int
    store_id: bytes
    number: int


class RecordPlace(NamedTuple):
    """Where a record lies: the segment's number, and the offset in it in bytes."""

    segment: int
    offset: int


def _encode_header(used: int, store_id: bytes, number: int) -> bytes:
    return _HEADER.pack(SEGMENT_MAGIC, _FORMAT, 0, used, store_id, number)


def decode_header(data: Buffer) -> Header:
    """Reads a segment's header.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not a segment.
    """
    if len(data) < HEADER_BYTES:
        raise MalformedError("segment shorter than its header")
    magic, version, flags, used, store_id, number = _HEADER.unpack_from(data)
    if magic != SEGMENT_MAGIC:
        raise MalformedError("segment with a wrong magic")
    if version > _FORMAT:
        raise UnsupportedError(
            f"segment format {version} is newer than {_FORMAT}, which this program reads"
        )
    if version != _FORMAT or flags or used < HEADER_BYTES:
        raise MalformedError("segment with an impossible header")
    return Header(used, store_id, number)


def records(data: Buffer) -> Iterator[SegmentRecord | None]:
    """All sound records of a segment in order, and None for each damaged stretch.

    A record is sound if its header is valid and its payload passes its check. The segment's own
    header is ignored: it may be the lost part.
    """
    view = bytes(data)
    offset = HEADER_BYTES
    while offset < len(view):
        record = sound_record(view, offset)
        if record is not None:
            yield record
            offset = record.end
            continue
        yield None
        while record is None:
            offset = view.find(RECORD_MARK, offset + 1)
            if offset < 0:
                return
            record = sound_record(view, offset)


class Filler:
    """Appends records to the last segment and to new ones.

    Args:
        store_id: The 16 bytes of the store's UUID, for each header.
        last: Number of the last segment, or -1.
        tail: Bytes of the last segment; read only when `segments` is called.
    """

    def __init__(self, store_id: bytes, last: int, tail: Buffer | None) -> None:
        self._store_id = store_id
        self._closed: list[tuple[int, int, list[Buffer]]] = []
        self._parts: list[Buffer] = []
        self._grown = False
        if tail is not None and HEADER_BYTES <= len(tail) < _NEARLY_FULL:
            self._number = last
            self._used = len(tail)
            self._parts.append(memoryview(tail)[HEADER_BYTES:])
        else:
            self._number = last + 1
            self._used = HEADER_BYTES

    def add(self, header: bytes, payload: Buffer) -> RecordPlace:
        """Appends a record; returns its place."""
        ((place, _),) = self.extend([(header, payload)], [len(header) + len(payload)])
        return place

    def extend(
        self, records: Sequence[Sequence[Buffer]], sizes: Sequence[int]
    ) -> list[tuple[RecordPlace, int]]:
        """Appends many records.

        Args:
            records: The buffers of each, end to end.
            sizes: Bytes of each.

        Returns:
            Runs of records without gaps: the place of the first, and their number.
        """
        runs: list[tuple[RecordPlace, int]] = []
        ends = list(accumulate(sizes))
        start = done = 0
        while start < len(ends):
            stop = bisect_right(ends, done + SEGMENT_BYTES - self._used, start)
            if stop == start and self._used > HEADER_BYTES:
                self._close()
                continue
            stop = max(stop, start + 1)  # one that is too large has a segment to itself
            runs.append((RecordPlace(self._number, self._used), stop - start))
            self._parts += chain.from_iterable(records[start:stop])
            self._used += ends[stop - 1] - done
            self._grown = True
            start, done = stop, ends[stop - 1]
        return runs

    def _close(self) -> None:
        self._closed.append((self._number, self._used, self._parts))
        self._number += 1
        self._used = HEADER_BYTES
        self._parts = []

    def segments(self) -> Iterator[tuple[int, bytes]]:
        """The segments that are new or have grown, as (number, bytes)."""
        if self._grown:
            self._close()
            self._grown = False
        for number, used, parts in self._closed:
            yield number, b"".join([_encode_header(used, self._store_id, number), *parts])
        self._closed.clear()
