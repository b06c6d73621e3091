"""The bytes of segments and their records (docs/FORMAT.md section 5).

A segment is a header followed by records without gaps. A record describes itself and begins with a
mark, so a scan resynchronises after damage, and objects are found even where everything around them
is lost.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from casync.errors import MalformedError, UnsupportedError
from casync.ids import Buffer, Kind
from casync.limits import MAX_CHUNK_SIZE, SEGMENT_BYTES
from casync.objects.codec import Codec, check_bytes

__all__ = [
    "HEADER_BYTES",
    "NAME_RECORD",
    "RECORD_BYTES",
    "RECORD_MARK",
    "SEGMENT_MAGIC",
    "STORE_ID_BYTES",
    "Filler",
    "Header",
    "RecordPlace",
    "SegmentRecord",
    "decode_header",
    "decode_record",
    "encode_record",
    "records",
    "sound_record",
]

SEGMENT_MAGIC: Final = b"\x8dcasSEG\n"
RECORD_MARK: Final = b"\xc6\x1dR\x8a"
NAME_RECORD: Final = 4
"""The kind of a record that holds a version of a name; other kinds are `ids.Kind`."""

STORE_ID_BYTES: Final = 16
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<8sHHI16sQ")  # magic, format, flags, used, store, number
_RECORD: Final = struct.Struct("<4sBBHII32s8s")  # mark, kind, codec, 0, plain, stored, id, check
HEADER_BYTES: Final = _HEADER.size
RECORD_BYTES: Final = _RECORD.size
"""Bytes of a record before its payload."""

_KINDS: Final = frozenset({*Kind, NAME_RECORD})
_CODECS: Final = {codec.value: codec for codec in Codec}
_NEARLY_FULL: Final = SEGMENT_BYTES - 64 * 1024  # rewriting 1 MiB to add less is wasteful


class Header(NamedTuple):
    """The header of a segment. `used` counts its bytes, including the header."""

    used: int
    store_id: bytes
    number: int


class SegmentRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as its header describes it, unproved.

    Attributes:
        kind: An `ids.Kind`, or `NAME_RECORD`.
        codec: How the payload is encoded.
        length: Plain bytes.
        stored: Bytes of payload.
        id: The object's id; for a name record, the BLAKE3 of its payload.
        check: The expected `codec.check_bytes` of the payload.
        offset: Where the record begins in the buffer.
    """

    kind: int
    codec: Codec
    length: int
    stored: int
    id: bytes
    check: bytes
    offset: int

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + RECORD_BYTES + self.stored

    def payload(self, data: Buffer) -> bytes:
        """Copies the payload out of the buffer that the record was read from."""
        return bytes(data[self.offset + RECORD_BYTES : self.end])


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


def encode_record(
    kind: int, codec: int, length: int, ident: bytes, payload: Buffer, check: bytes
) -> bytes:
    """The header of a record; `payload` follows it."""
    return _RECORD.pack(RECORD_MARK, kind, codec, 0, length, len(payload), ident, check)


def decode_record(data: Buffer, offset: int) -> SegmentRecord:
    """Reads the record header at `offset`. The payload may reach beyond `data`.

    Raises:
        MalformedError: There is no valid header.
    """
    if not 0 <= offset <= len(data) - RECORD_BYTES:
        raise MalformedError("record outside of its segment")
    mark, kind, codec, zero, length, stored, ident, check = _RECORD.unpack_from(data, offset)
    if mark != RECORD_MARK:
        raise MalformedError("record without its mark")
    if kind not in _KINDS or codec not in _CODECS or zero:
        raise MalformedError("record of an unknown kind")
    if length > MAX_CHUNK_SIZE or (stored != length if codec == Codec.RAW else stored >= length):
        raise MalformedError("record with impossible lengths")
    return SegmentRecord(kind, _CODECS[codec], length, stored, ident, check, offset)


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


def sound_record(data: Buffer, offset: int) -> SegmentRecord | None:
    """The record at `offset`, if all of it is in `data` and its payload passes its check."""
    try:
        record = decode_record(data, offset)
    except MalformedError:
        return None
    payload = memoryview(data)[offset + RECORD_BYTES : record.end]
    if len(payload) != record.stored or check_bytes(payload) != record.check:
        return None
    return record


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
        size = len(header) + len(payload)
        if self._used + size > SEGMENT_BYTES and self._used > HEADER_BYTES:
            self._close()
        place = RecordPlace(self._number, self._used)
        self._parts.append(header)
        self._parts.append(payload)
        self._used += size
        self._grown = True
        return place

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
