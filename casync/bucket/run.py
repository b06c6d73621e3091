"""A run: what one commit changed in the index and the tables of a store in a bucket.

The format is in docs/FORMAT.md, section 11.4. A run is immutable. Runs in their order, each over
those before it, are the whole state of the store; several that follow each other may be merged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from operator import lt
from typing import Final, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.bucket.run_columns import GONE, ROW_BYTES, decode_columns
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES
from casync.errors import MalformedError, UnsupportedError
from casync.ids import ID_BYTES, Buffer, Kind
from casync.limits import BUCKET_SEGMENT_BYTES, MAX_CHUNK_SIZE, MAX_RUN_BYTES
from casync.objects.record import RECORD_BYTES

__all__ = [
    "COMMITS",
    "CONDEMNED",
    "GONE",
    "RunLayout",
    "RunRow",
    "SegmentSize",
    "TableChange",
    "TableRun",
    "part_key",
    "decode_changes",
    "decode_run",
    "encode_run",
    "find_layout",
]

_MAGIC: Final = b"\x8dcasRUN\n"
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<8sHHI16sIIIIQ8s")
_SEGMENT: Final = struct.Struct(f"<{SESSION_BYTES}sII")
_ROW: Final = struct.Struct(f"<{ID_BYTES}sIIIII")
_PART: Final = struct.Struct(f">{SESSION_BYTES}sI")
_CHECK_BYTES: Final = 16
_KINDS: Final = (Kind.CHUNK, Kind.NODE, Kind.MANIFEST)

_LARGEST_SEGMENT: Final = max(
    BUCKET_SEGMENT_BYTES, SEGMENT_HEAD_BYTES + RECORD_BYTES + MAX_CHUNK_SIZE
)


CONDEMNED: Final = "condemned"
"""The table of segments that wait for their deletion, to which no row points any more."""


COMMITS: Final = "commits"
"""The table that says which commit each commit follows. It is in runs alone."""


class SegmentSize(NamedTuple):
    """A segment that rows point to, and its bytes."""

    part: SessionPart
    size: int


class RunRow(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where an object lies, or that it is gone. All but the id is 0 of one that is gone.

    Attributes:
        id: The object.
        segment: Its segment's place in the run's list of segments, or `GONE`.
        offset: Where its record begins in the segment.
        stored: Bytes of its payload.
        length: Plain bytes.
        generation: Collections up to this generation keep it.
    """

    id: bytes
    segment: int
    offset: int
    stored: int
    length: int
    generation: int


TableChange: TypeAlias = tuple[str, bytes, bytes | None]
"""A table, a key in it, and the new value; None deletes the row."""


class TableRun(NamedTuple):
    """The content of a run.

    Attributes:
        store: The UUID of the store.
        segments: The segments that rows point to.
        rows: Rows of each kind, ordered by id.
        changes: Changed rows of tables, ordered by table and key.
    """

    store: bytes
    segments: list[SegmentSize]
    rows: dict[Kind, list[RunRow]]
    changes: list[TableChange]


def encode_run(
    store: bytes,
    segments: Sequence[SegmentSize],
    rows: Mapping[Kind, Sequence[RunRow]],
    changes: Iterable[TableChange],
) -> bytes:
    """The bytes of a run; the arguments are as in `TableRun`."""
    meta = msgspec.msgpack.encode(list(changes))
    counts = [len(rows.get(kind, ())) for kind in _KINDS]
    header = _HEADER.pack(
        _MAGIC, _FORMAT, 0, len(segments), store, *counts, 0, len(meta), bytes(8)
    ) + b"".join(_SEGMENT.pack(*part, size) for part, size in segments)
    table = b"".join(chain.from_iterable(_packed(rows.get(kind, ())) for kind in _KINDS))
    sections = (header, table, meta)
    return b"".join((*sections, *map(_check, sections)))


class RunLayout(NamedTuple):
    """Where the parts of a run lie, which passes its checks.

    Attributes:
        store: The UUID of the store.
        segments: The segments that rows point to.
        rows: Where the rows of each kind begin and end.
        changes: Where the changes begin and end.
    """

    store: bytes
    segments: list[SegmentSize]
    rows: dict[Kind, tuple[int, int]]
    changes: tuple[int, int]


def find_layout(data: Buffer) -> RunLayout:
    """Reads the beginning of a run, and compares all of it with its checks.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not a run, or is damaged.
    """
    if not _HEADER.size + 3 * _CHECK_BYTES <= len(data) <= MAX_RUN_BYTES:
        raise MalformedError(f"a run of {len(data)} bytes")
    magic, version, flags, listed, store, *counts, zero, meta, zeros = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("run with a wrong magic")
    if version > _FORMAT:
        raise UnsupportedError(f"run format {version} is newer than {_FORMAT}")
    if version != _FORMAT or flags or zero or any(zeros):
        raise MalformedError("run with an impossible header")
    view = memoryview(data)
    begin = _HEADER.size + listed * _SEGMENT.size
    ends = list(accumulate((count * ROW_BYTES for count in counts), initial=begin))
    middle, end = ends[-1], ends[-1] + meta
    if end + 3 * _CHECK_BYTES != len(data):
        raise MalformedError("run whose header contradicts its length")
    sections = (view[:begin], view[begin:middle], view[middle:end])
    if b"".join(map(_check, sections)) != view[end:]:
        raise MalformedError("run that does not pass its checks")
    segments = [
        SegmentSize(SessionPart(session, number), size)
        for session, number, size in _SEGMENT.iter_unpack(view[_HEADER.size : begin])
    ]
    if any(not SEGMENT_HEAD_BYTES < each.size <= _LARGEST_SEGMENT for each in segments):
        raise MalformedError("run with a segment of an impossible size")
    rows = dict(zip(_KINDS, pairwise(ends), strict=True))
    return RunLayout(store, segments, rows, (middle, end))


def decode_run(data: Buffer) -> TableRun:
    """Reads a whole run.

    Raises:
        UnsupportedError, MalformedError: As `find_layout`, or a row or a change is malformed.
    """
    layout = find_layout(data)
    view = memoryview(data)
    sizes = [segment.size for segment in layout.segments]
    rows: dict[Kind, list[RunRow]] = {}
    for kind, (start, end) in layout.rows.items():
        rows[kind] = list(map(RunRow, *decode_columns(view[start:end], sizes)))
    start, end = layout.changes
    return TableRun(layout.store, layout.segments, rows, decode_changes(view[start:end]))


def part_key(part: SessionPart) -> bytes:
    """The key of a segment in tables, such as `CONDEMNED`."""
    return _PART.pack(*part)


def _check(section: Buffer) -> bytes:
    return blake3(section).digest(length=_CHECK_BYTES)


def _packed(rows: Sequence[RunRow]) -> Iterator[bytes]:
    return (
        _ROW.pack(row.id, row.segment, row.offset, row.stored, row.length, row.generation)
        for row in rows
    )


def decode_changes(meta: Buffer) -> list[TableChange]:
    """Reads the changes of a run.

    Raises:
        MalformedError: They are not in order, or no changes.
    """
    try:
        changes = msgspec.msgpack.decode(meta, type=list[tuple[str, bytes, bytes | None]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"run with malformed changes: {error}") from error
    places = [change[:2] for change in changes]
    if not all(map(lt, places, places[1:])):
        raise MalformedError("run whose changes are not in order")
    return changes
