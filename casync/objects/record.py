"""The bytes of records, which hold objects in segments (docs/FORMAT.md section 5.2).

A record describes itself and begins with a mark, so a scan resynchronises after damage, and objects
are found even where everything around them is lost.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence, Set
from itertools import accumulate, compress
from typing import Final, NamedTuple

from blake3 import blake3

from casync.errors import MalformedError
from casync.ids import Buffer, Kind, ObjectId
from casync.limits import MAX_CHUNK_SIZE
from casync.objects.codec import Codec, Packer, Verified

__all__ = [
    "NAME_RECORD",
    "RECORD_BYTES",
    "RECORD_MARK",
    "ChunkRecords",
    "SegmentRecord",
    "check_bytes",
    "decode_record",
    "encode_record",
    "record_parts",
    "records_of",
    "sound_record",
]

RECORD_MARK: Final = b"\xc6\x1dR\x8a"
NAME_RECORD: Final = 4
"""The kind of a record that holds a version of a name; other kinds are `ids.Kind`."""

_RECORD: Final = struct.Struct("<4sBBHII32s8s")  # mark, kind, codec, 0, plain, stored, id, check
RECORD_BYTES: Final = _RECORD.size
"""Bytes of a record before its payload."""

_CHECK_BYTES: Final = 8
_KINDS: Final = frozenset({*Kind, NAME_RECORD})
_HASHED_PLAIN: Final = frozenset({Kind.CHUNK, NAME_RECORD})
_CODECS: Final = {codec.value: codec for codec in Codec}


class SegmentRecord(NamedTuple):
    """One record as its header describes it, unproved.

    Attributes:
        kind: An `ids.Kind`, or `NAME_RECORD`.
        codec: How the payload is encoded.
        length: Plain bytes.
        stored: Bytes of payload.
        id: The object's id; for a name record, the BLAKE3 of its payload.
        check: The expected `check_bytes` of the payload.
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


class ChunkRecords(NamedTuple):
    """Records of distinct chunks, end to end, as a segment takes them.

    Only who hashed the chunks may make it: each payload was encoded from the bytes of its id.

    Attributes:
        ids: The chunks.
        lengths: Their plain bytes.
        sizes: Bytes of their records.
        data: The records.
    """

    ids: list[ObjectId]
    lengths: list[int]
    sizes: list[int]
    data: memoryview

    def part(self, start: int, stop: int) -> ChunkRecords:
        """Some of them, which share the memory."""
        begin = sum(self.sizes[:start])
        sizes = self.sizes[start:stop]
        data = self.data[begin : begin + sum(sizes)]
        return ChunkRecords(self.ids[start:stop], self.lengths[start:stop], sizes, data)

    def only(self, chosen: Set[ObjectId]) -> ChunkRecords:
        """Those of some chunks, copied."""
        marks = [ident in chosen for ident in self.ids]
        return ChunkRecords(
            list(compress(self.ids, marks)),
            list(compress(self.lengths, marks)),
            list(compress(self.sizes, marks)),
            memoryview(b"".join(compress(self.each(), marks))),
        )

    def each(self) -> list[memoryview]:
        """The bytes of each record."""
        ends = accumulate(self.sizes)
        return [self.data[end - size : end] for end, size in zip(ends, self.sizes, strict=True)]

    def objects(self) -> Iterator[Verified]:
        """The chunks, copied out of their records."""
        for ident, length, record in zip(self.ids, self.lengths, self.each(), strict=True):
            yield Verified.encoded(Kind.CHUNK, ident, length, bytes(record[RECORD_BYTES:]))


def check_bytes(payload: Buffer) -> bytes:
    """The truncated BLAKE3 that finds bit rot in a stored payload."""
    return blake3(payload).digest(length=_CHECK_BYTES)


def encode_record(kind: int, codec: Codec, length: int, ident: bytes, payload: Buffer) -> bytes:
    """The header of the record of an object that is proved; `payload` follows it."""
    # The id of raw bytes, other than of nodes and manifests, is their BLAKE3 as well.
    is_hash = codec is Codec.RAW and kind in _HASHED_PLAIN
    check = ident[:_CHECK_BYTES] if is_hash else check_bytes(payload)
    return _RECORD.pack(RECORD_MARK, kind, codec, 0, length, len(payload), ident, check)


def records_of(packer: Packer, chunks: Sequence[tuple[ObjectId, Buffer]]) -> ChunkRecords:
    """Packs distinct chunks, each with its id, which was computed from these bytes."""
    sizes, parts = record_parts(packer, chunks)
    ids = [ident for ident, _ in chunks]
    lengths = [len(plain) for _, plain in chunks]
    return ChunkRecords(ids, lengths, sizes, memoryview(b"".join(parts)))


def record_parts(
    packer: Packer, chunks: Sequence[tuple[ObjectId, Buffer]]
) -> tuple[list[int], list[Buffer]]:
    """As `records_of`: bytes of each record, and the buffers of all of them, end to end."""
    payloads = packer.encode([plain for _, plain in chunks])
    parts: list[Buffer] = []
    for (ident, plain), payload in zip(chunks, payloads, strict=True):
        codec = Codec.ZSTD if len(payload) < len(plain) else Codec.RAW
        parts += encode_record(Kind.CHUNK, codec, len(plain), ident, payload), payload
    return [RECORD_BYTES + len(payload) for payload in payloads], parts


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
