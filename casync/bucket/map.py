"""The map of a manifest: its nodes, and where each chunk below it lies.

The format is in docs/FORMAT.md, section 11.3.

::

    header | head part | parts

With the map, whatever a manifest leads to is read by ranges from objects of a plain web server. The
head part lists the segments and the parts. A part is a node, or a list of chunks that are whole
contents; parts that list chunks say where these lie. So an update reads the parts of the nodes that
it lacks. Nothing in a map is believed: nodes and chunks are compared with their ids.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

import msgspec
import zstandard
from blake3 import blake3

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES
from casync.errors import MalformedError, UnsupportedError
from casync.ids import ID_BYTES, Buffer
from casync.limits import (
    MAX_CHUNK_SIZE,
    MAX_LEVEL,
    MAX_MANIFEST_BYTES,
    MAX_MAP_HEAD_BYTES,
    MAX_NODE_BYTES,
    NODE_MAX_RECORDS,
)
from casync.objects.node import (
    Content,
    Record,
    check_content,
    encode_records,
    encoded_size,
    iter_records,
)
from casync.objects.record import RECORD_BYTES

__all__ = [
    "LOOSE",
    "MAP_HEADER_BYTES",
    "ChunkPlace",
    "MapHead",
    "MapHeader",
    "MapPart",
    "PlacedPart",
    "SegmentRow",
    "decode_head_part",
    "decode_map_header",
    "decode_part",
    "encode_map_head",
    "encode_part",
    "loose_chunks",
]

_MAGIC: Final = b"\x8dcasMAP\n"
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<8sHHIQQ16s16s")
MAP_HEADER_BYTES: Final = _HEADER.size
_CHECK_BYTES: Final = 16

LOOSE: Final = 0
"""The level of a part that lists chunks without a node: each is the whole content of a file."""

_LEVEL: Final = 3
_COLUMNS: Final = 3
_COLUMN_BYTES: Final = 4
_MAX_PART_BYTES: Final = MAX_NODE_BYTES + NODE_MAX_RECORDS * _COLUMNS * _COLUMN_BYTES
_U32: Final = struct.Struct("<I")


class MapHeader(NamedTuple):
    """The header of a map.

    Attributes:
        head_bytes: Bytes of the head part, which follows the header.
        version: The version of the store that the map was made at; 0 where there is none.
        total: Bytes of the map.
        check: The beginning of the BLAKE3 of the head part.
    """

    head_bytes: int
    version: int
    total: int
    check: bytes


class SegmentRow(NamedTuple):
    """A segment that chunks lie in, and its bytes."""

    part: SessionPart
    size: int


class MapPart(NamedTuple):
    """A part of a map.

    Attributes:
        level: The level of its node, or `LOOSE`.
        id: The id of its node; zeros for `LOOSE`.
        offset: Where it begins in the map.
        size: Its bytes.
    """

    level: int
    id: bytes
    offset: int
    size: int


class MapHead(NamedTuple):
    """The head part of a map.

    Attributes:
        manifest: The bytes of the manifest.
        segments: The segments.
        parts: The parts, in order.
        indexes: The member indexes of archives below the manifest, by the ids of their contents.
    """

    manifest: bytes
    segments: list[SegmentRow]
    parts: list[MapPart]
    indexes: dict[bytes, Content]


class ChunkPlace(NamedTuple):
    """Where a chunk lies.

    Attributes:
        segment: The row of its segment.
        offset: Where its record begins in the segment.
        stored: Bytes of its payload.
    """

    segment: int
    offset: int
    stored: int

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + RECORD_BYTES + self.stored


class PlacedPart(NamedTuple):
    """A part that was read.

    Attributes:
        node: The bytes of the node, which are not compared with its id.
        records: The chunks that it lists; none if its level is 2 or above.
        places: Where each of them lies.
    """

    node: bytes
    records: list[Record]
    places: list[ChunkPlace]


class _HeadPart(msgspec.Struct, frozen=True, array_like=True):
    manifest: bytes
    segments: list[tuple[bytes, int, int]]  # session, number, bytes
    ids: bytes
    levels: bytes
    sizes: bytes
    indexes: list[tuple[bytes, Content]]


_HEAD_PART: Final = msgspec.msgpack.Decoder(type=_HeadPart)


def loose_chunks(chunks: Sequence[Record]) -> bytes:
    """The list of chunks that stands in a `LOOSE` part where others have their node."""
    return encode_records(LOOSE, chunks)


def encode_part(node: bytes, places: Sequence[ChunkPlace] = ()) -> bytes:
    """A part.

    Args:
        node: The bytes of the node, or `loose_chunks`.
        places: Where each of its chunks lies; none for a node of level 2 or above.
    """
    rows: list[int] = []
    gaps: list[int] = []
    saved: list[int] = []
    row, end = 0, SEGMENT_HEAD_BYTES
    for place, (_, length) in zip(places, iter_records(node) if places else (), strict=True):
        if place.segment != row:
            end = SEGMENT_HEAD_BYTES
        rows.append(place.segment - row)
        gaps.append(place.offset - end)
        saved.append(length - place.stored)
        row, end = place.segment, place.end
    columns = struct.pack(f"<{2 * len(rows)}i{len(rows)}I", *rows, *gaps, *saved)
    return zstandard.ZstdCompressor(_LEVEL).compress(node + columns)


def encode_map_head(
    manifest: bytes,
    segments: Sequence[SegmentRow],
    parts: Sequence[tuple[int, bytes, int]],
    indexes: Mapping[bytes, Content],
    version: int = 0,
) -> bytes:
    """The header and the head part of a map, which the parts follow.

    Args:
        manifest: The bytes of the manifest.
        segments: The segments that its chunks lie in.
        parts: Level, id and bytes of each part, in order.
        indexes: As in `MapHead`.
        version: As in `MapHeader`.
    """
    head = msgspec.msgpack.encode(
        _HeadPart(
            manifest,
            [(row.part.session, row.part.number, row.size) for row in segments],
            b"".join(ident for _, ident, _ in parts),
            bytes(level for level, _, _ in parts),
            struct.pack(f"<{len(parts)}I", *(size for _, _, size in parts)),
            list(indexes.items()),
        )
    )
    packed = zstandard.ZstdCompressor(_LEVEL).compress(head)
    total = MAP_HEADER_BYTES + len(packed) + sum(size for _, _, size in parts)
    check = blake3(packed).digest(_CHECK_BYTES)
    header = _HEADER.pack(_MAGIC, _FORMAT, 0, len(packed), version, total, check, bytes(16))
    return header + packed


def decode_map_header(data: Buffer) -> MapHeader:
    """Reads the header of a map.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not the header of a map.
    """
    if len(data) < MAP_HEADER_BYTES:
        raise MalformedError("map shorter than its header")
    magic, form, flags, size, version, total, check, zeros = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("map with a wrong magic")
    if form > _FORMAT:
        raise UnsupportedError(f"map format {form} is newer than {_FORMAT}")
    fits = 0 < size <= MAX_MAP_HEAD_BYTES and total >= MAP_HEADER_BYTES + size
    if form != _FORMAT or flags or any(zeros) or not fits:
        raise MalformedError("map with an impossible header")
    return MapHeader(size, version, total, check)


def decode_head_part(header: MapHeader, data: bytes) -> MapHead:
    """Reads a head part.

    Args:
        header: The header of the map.
        data: The head part.

    Raises:
        MalformedError: It is damaged, or does not fit the header.
    """
    if blake3(data).digest(_CHECK_BYTES) != header.check:
        raise MalformedError("map whose head part is damaged")
    try:
        raw = _HEAD_PART.decode(_plain(data, MAX_MAP_HEAD_BYTES))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise MalformedError(f"map with a malformed head part: {error}") from error
    count = len(raw.levels)
    if len(raw.ids) != count * ID_BYTES or len(raw.sizes) != count * _U32.size:
        raise MalformedError("map whose parts do not fit their number")
    if any(level > MAX_LEVEL for level in raw.levels) or len(raw.manifest) > MAX_MANIFEST_BYTES:
        raise MalformedError("map with an impossible part")
    segments = [SegmentRow(SessionPart(one, number), size) for one, number, size in raw.segments]
    if any(
        len(one.session) != SESSION_BYTES or not (0 <= one.number < 1 << 32 and 0 < size < 1 << 32)
        for one, size in segments
    ):
        raise MalformedError("map with an impossible segment")
    sizes = [size for (size,) in _U32.iter_unpack(raw.sizes)]
    ends = list(accumulate(sizes, initial=MAP_HEADER_BYTES + header.head_bytes))
    if ends[-1] != header.total:
        raise MalformedError("map whose parts do not fill it")
    parts = [
        MapPart(level, raw.ids[at * ID_BYTES : (at + 1) * ID_BYTES], start, end - start)
        for at, (level, (start, end)) in enumerate(zip(raw.levels, pairwise(ends), strict=True))
    ]
    for archive, content in raw.indexes:
        check_content(content, MAX_CHUNK_SIZE)
        if len(archive) != ID_BYTES:
            raise MalformedError("map with an impossible index")
    return MapHead(raw.manifest, segments, parts, dict(raw.indexes))


def decode_part(data: bytes, level: int, segments: Sequence[SegmentRow]) -> PlacedPart:
    """Reads a part.

    Args:
        data: The part.
        level: Its level.
        segments: The segments of the map.

    Raises:
        MalformedError: It is damaged.
    """
    plain = _plain(data, _MAX_PART_BYTES)
    size = encoded_size(plain, 0)
    node = plain[:size]
    if level > 1:
        if len(plain) != size:
            raise MalformedError("part of a map with more than its node")
        return PlacedPart(node, [], [])
    records = [Record(*one) for one in iter_records(node)] if len(node) == size else []
    count = len(records)
    if len(plain) != size + count * _COLUMNS * _COLUMN_BYTES or not count:
        raise MalformedError("part of a map whose columns do not fit its chunks")
    columns = struct.unpack_from(f"<{2 * count}i{count}I", plain, size)
    steps, gaps, saved = columns[:count], columns[count : 2 * count], columns[2 * count :]
    places: list[ChunkPlace] = []
    row, end = 0, SEGMENT_HEAD_BYTES
    for step, gap, less, (_, length) in zip(steps, gaps, saved, records, strict=True):
        if step:
            row, end = row + step, SEGMENT_HEAD_BYTES
        place = ChunkPlace(row, end + gap, length - less)
        end = place.end
        if not 0 <= row < len(segments) or place.offset < SEGMENT_HEAD_BYTES:
            raise MalformedError("map that places a chunk outside of its segments")
        if place.stored <= 0 or end > segments[row].size:
            raise MalformedError("map that places a chunk outside of its segment")
        places.append(place)
    return PlacedPart(node, records, places)


def _plain(data: bytes, most: int) -> bytes:
    try:
        if not 0 < zstandard.frame_content_size(data) <= most:
            raise MalformedError("map with a part of impossible size")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(f"map with a broken part: {error}") from error
