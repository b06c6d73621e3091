"""The keys and values of the store's databases, except segments (docs/FORMAT.md section 5.3).

Keys sort as what they stand for. Integers are big-endian in keys and little-endian in values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import gt
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from casync.errors import DamagedStoreError
from casync.ids import ID_BYTES, Buffer, Kind, ManifestId, ObjectId
from casync.names.name import NameRecord
from casync.objects.codec import Codec
from casync.objects.record import RECORD_BYTES
from casync.store.base import ManifestRow, ManifestState, RememberedFile
from casync.store.lmdb.lmdb_errors import REBUILD

__all__ = [
    "FORMAT",
    "META_FORMAT",
    "META_GENERATION",
    "META_STORE",
    "IndexRow",
    "NamePayload",
    "SegmentUse",
    "decode_file",
    "decode_generation",
    "decode_index",
    "decode_manifest_row",
    "decode_name",
    "decode_meta_number",
    "decode_number",
    "decode_places",
    "decode_segment_use",
    "encode_file",
    "encode_index",
    "encode_index_columns",
    "encode_index_run",
    "encode_manifest_row",
    "encode_name",
    "encode_number",
    "encode_segment_use",
    "file_key",
    "index_key",
    "index_prefix",
    "name_key",
    "name_stem",
    "number_key",
    "path_key",
    "renewed",
    "version_key",
]

FORMAT: Final = 1
"""Version of the store's format: the only one that this program reads and writes."""

META_FORMAT: Final = b"format"
META_STORE: Final = b"store"
META_GENERATION: Final = b"generation"

_KEY_BYTES: Final = 511  # LMDB's limit
_STEM_BYTES: Final = _KEY_BYTES - 8 - ID_BYTES  # leaves room for a hash and a version

_U32: Final = struct.Struct("<I")
_NUMBER_KEY: Final = struct.Struct(">Q")
_INDEX: Final = struct.Struct("<QIIIBI")
_PLACE: Final = struct.Struct("<Q4xI9x")
_MANIFEST: Final = struct.Struct("<BQQ")
_USE: Final = struct.Struct("<II")
_CODECS: Final = frozenset(Codec)
_STATES: Final = {1: ManifestState.FULL, 2: ManifestState.OUTLINE}
_STATE_BYTES: Final = {state: number for number, state in _STATES.items()}


class IndexRow(msgspec.Struct, frozen=True, gc=False):
    """Where an object lies, and when it was last known to be in use.

    Attributes:
        segment: Number of its segment.
        offset: Offset of its record in the segment, in bytes.
        stored: Bytes of its payload.
        length: Plain bytes.
        codec: How the payload is encoded.
        generation: Collections up to this generation keep it.
    """

    segment: int
    offset: int
    stored: int
    length: int
    codec: int
    generation: int


class SegmentUse(NamedTuple):
    """Bytes of a segment: in total, and in records that the index points to."""

    used: int
    live: int


class NamePayload(msgspec.Struct, frozen=True):
    """The payload of a name record in a segment: the version, and the store that recorded it."""

    store: bytes
    record: NameRecord


def _broken(what: str, error: Exception) -> DamagedStoreError:
    return DamagedStoreError(f"the store has a damaged {what} row: {error}", next_step=REBUILD)


def index_prefix(kind: Kind) -> bytes:
    """The prefix of the keys of all objects of a kind."""
    return bytes((kind,))


def index_key(kind: int, ident: ObjectId | bytes) -> bytes:
    """The key of an object in `index`."""
    return bytes((kind,)) + ident


def encode_index(row: IndexRow) -> bytes:
    """A value of `index`."""
    return _INDEX.pack(row.segment, row.offset, row.stored, row.length, row.codec, row.generation)


def encode_index_run(
    segment: int, offset: int, sizes: Sequence[int], lengths: Sequence[int], generation: int
) -> Iterator[bytes]:
    """Values of `index` for records that lie end to end.

    Args:
        segment: Number of their segment.
        offset: Where the first begins.
        sizes: Bytes of each record.
        lengths: Plain bytes of each object.
        generation: As in `IndexRow`.
    """
    stored = [size - RECORD_BYTES for size in sizes]
    offsets = accumulate(sizes, initial=offset)
    return encode_index_columns(repeat(segment), offsets, stored, lengths, repeat(generation))


def encode_index_columns(
    segments: Iterable[int],
    offsets: Iterable[int],
    stored: Sequence[int],
    lengths: Sequence[int],
    generations: Iterable[int],
) -> Iterator[bytes]:
    """Values of `index`, from the columns of `IndexRow`."""
    is_zstd = map(gt, lengths, stored)  # which alone shortens
    return map(_INDEX.pack, segments, offsets, stored, lengths, is_zstd, generations)


def decode_index(value: Buffer) -> IndexRow:
    """Reads a value of `index`; DamagedStoreError if it is malformed."""
    try:
        row = IndexRow(*_INDEX.unpack(value))
    except struct.error as error:
        raise _broken("index", error) from error
    if row.codec not in _CODECS:
        raise _broken("index", ValueError(f"unknown codec {row.codec}"))
    return row


def decode_places(values: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """The segment and the bytes of the payload in each of many values of `index`."""
    return _PLACE.iter_unpack(b"".join(values))


def decode_generation(value: Buffer) -> int:
    """The generation in a value of `index`, without decoding the rest."""
    return int.from_bytes(value[-4:], "little")


def renewed(value: bytes, generation: int) -> bytes:
    """A value of `index` with another generation."""
    return value[:-4] + _U32.pack(generation)


def number_key(number: int) -> bytes:
    """The key of a segment in `segments` and `segment_use`."""
    return _NUMBER_KEY.pack(number)


def decode_number(key: Buffer) -> int:
    """Reads what `number_key` writes; DamagedStoreError if it is malformed."""
    try:
        return int(_NUMBER_KEY.unpack(key)[0])
    except struct.error as error:
        raise _broken("segment", error) from error


def encode_number(number: int) -> bytes:
    """A number as a value of `meta`."""
    return _U32.pack(number)


def decode_meta_number(value: Buffer) -> int:
    """Reads what `encode_number` writes; DamagedStoreError if it is malformed."""
    try:
        return int(_U32.unpack(value)[0])
    except struct.error as error:
        raise _broken("meta", error) from error


def encode_segment_use(use: SegmentUse) -> bytes:
    """A value of `segment_use`."""
    return _USE.pack(*use)


def decode_segment_use(value: Buffer) -> SegmentUse:
    """Reads a value of `segment_use`; DamagedStoreError if it is malformed."""
    try:
        return SegmentUse(*_USE.unpack(value))
    except struct.error as error:
        raise _broken("segment_use", error) from error


def encode_manifest_row(row: ManifestRow) -> bytes:
    """A value of `manifests`, whose key is the id."""
    return _MANIFEST.pack(_STATE_BYTES[row.state], row.length, row.created)


def decode_manifest_row(key: Buffer, value: Buffer) -> ManifestRow:
    """Reads a row of `manifests`; DamagedStoreError if it is malformed."""
    try:
        state, length, created = _MANIFEST.unpack(value)
        return ManifestRow(ManifestId(bytes(key)), _STATES[state], length, created)
    except (struct.error, KeyError) as error:
        raise _broken("manifests", error) from error


def name_stem(label: str) -> bytes:
    """The common prefix of the keys of all names that begin with `label`."""
    return label.encode()[:_STEM_BYTES]


def name_key(name: str) -> bytes:
    """The key of a name in `names`: the name, or its beginning and a hash if it is too long."""
    data = name.encode()
    if len(data) <= _STEM_BYTES:
        return data
    return data[:_STEM_BYTES] + blake3(data).digest()


def version_key(name: str, version: int) -> bytes:
    """The key of one version in `name_log`.

    Versions of one name are contiguous: names hold no zero bytes, with which version numbers begin,
    and keys with a hash all have the same length.
    """
    return name_key(name) + _NUMBER_KEY.pack(version)


def encode_name(record: NameRecord) -> bytes:
    """A value of `names` and `name_log`."""
    return msgspec.msgpack.encode(record)


def decode_name(value: Buffer) -> NameRecord:
    """Reads a value of `names` or `name_log`; DamagedStoreError if it is malformed."""
    try:
        return msgspec.msgpack.decode(value, type=NameRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _broken("names", error) from error


def path_key(path: bytes) -> bytes:
    """The key in `seeds` that maps a path to its file's number."""
    return b"p" + blake3(path).digest()


def file_key(number: int) -> bytes:
    """The key in `seeds` of the `number`-th remembered file."""
    return b"s" + _NUMBER_KEY.pack(number)


def encode_file(file: RememberedFile) -> bytes:
    """A file as a value of `seeds`."""
    return msgspec.msgpack.encode(file)


def decode_file(value: Buffer) -> RememberedFile:
    """Reads what `encode_file` writes; DamagedStoreError if it is malformed."""
    try:
        return msgspec.msgpack.decode(value, type=RememberedFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _broken("seeds", error) from error
