"""Nodes: lists of (id, length) records that build content of any size out of chunks.

A node of level 1 lists chunks, one of level n lists nodes of level n - 1. The records decide where
a list is cut, so two versions of a file share most of their nodes (docs/FORMAT.md section 4).
Everything here works on runs, because a sparse disk repeats one record millions of times.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from casync.errors import MalformedError, UnsupportedError, UsageError
from casync.ids import EMPTY_ID, ID_BYTES, Buffer, NodeId, node_id
from casync.limits import (
    MAX_CHUNK_SIZE,
    MAX_LENGTH,
    MAX_LEVEL,
    NODE_MAX_RECORDS,
    NODE_MIN_RECORDS,
)
from casync.sizes import format_count

__all__ = [
    "EMPTY",
    "LONE_ROOT",
    "Content",
    "Node",
    "NodeBuilder",
    "Record",
    "Run",
    "check_content",
    "check_root",
    "decode_node",
    "encode_records",
    "encoded_size",
    "iter_records",
]

_MAGIC: Final = b"CASN"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sBBH")
_RECORD: Final = struct.Struct("<32sQ")
LONE_ROOT: Final = "root with a single record, which must be the content itself"

_CLOSING_MASK: Final = 0x7F  # one record in 128 closes a node


class Content(msgspec.Struct, frozen=True, array_like=True):
    """Names the bytes of one file: level 0 is a single chunk, level n a node of that level."""

    level: int
    id: bytes
    length: int


EMPTY: Final = Content(0, EMPTY_ID, 0)


def check_content(content: Content, max_chunk: int) -> None:
    """Refuses an impossible content.

    Args:
        content: Untrusted content.
        max_chunk: Bytes of the largest chunk allowed.

    Raises:
        MalformedError: Its id, level or length is impossible.
    """
    level, ident, length = content.level, content.id, content.length
    if len(ident) != ID_BYTES:
        raise MalformedError("content whose id is not 32 bytes")
    if not 0 <= length <= MAX_LENGTH:
        raise MalformedError(f"content with impossible length {length}")
    if not 0 <= level <= MAX_LEVEL:
        raise MalformedError(f"content with impossible level {level}")
    if level == 0 and length > max_chunk:
        raise MalformedError("content of one chunk that exceeds the maximum size")
    if (length == 0) != (ident == EMPTY_ID) or (length == 0 and level):
        raise MalformedError("empty content must have the empty id and level 0")


class Record(NamedTuple):
    """One record of a node: the id of a chunk or a lower node, and the plain bytes it covers."""

    id: bytes
    length: int


class Run(msgspec.Struct, frozen=True, gc=False):
    """`times` equal records in a row. A struct for speed: nearly every chunk has one."""

    id: bytes
    length: int
    times: int


class Node(NamedTuple):
    """A decoded node."""

    level: int
    records: list[Record]

    @property
    def length(self) -> int:
        """Plain bytes below this node."""
        return sum(record.length for record in self.records)


_new_record: Final[Callable[[tuple[bytes, int]], Record]] = partial(tuple.__new__, Record)
"""As `Record._make`, three times as fast."""

_CLOSING_BYTES: Final = frozenset(byte for byte in range(256) if byte & _CLOSING_MASK == 0)


def _closes(ident: bytes) -> bool:
    return ident[-1] & _CLOSING_MASK == 0


def encode_records(level: int, records: Sequence[tuple[bytes, int]]) -> bytes:
    """The bytes of a node that lists these records, wherever a list would be cut."""
    header = _HEADER.pack(_MAGIC, _VERSION, level, len(records))
    return header + b"".join([_RECORD.pack(*record) for record in records])


def encoded_size(data: bytes, start: int) -> int:
    """Bytes of the node that begins at `start`, as its header claims; the rest is not checked."""
    header = data[start : start + _HEADER.size]
    if len(header) < _HEADER.size:
        return _HEADER.size
    return _HEADER.size + int(_HEADER.unpack(header)[3]) * _RECORD.size


def decode_node(data: Buffer, level: int, length: int) -> Node:
    """Reads a node that must have `level` and cover `length` plain bytes.

    Raises:
        UnsupportedError: A later version.
        MalformedError: The bytes are not such a node in its one valid encoding.
    """
    size = len(data)
    if size < _HEADER.size:
        raise MalformedError("node shorter than its header")
    magic, version, its_level, count = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("node with a wrong magic")
    if version > _VERSION:
        raise UnsupportedError(f"node version {version} is newer than this program")
    if version != _VERSION:
        raise MalformedError(f"node with unknown version {version}")
    if its_level != level or not 1 <= level <= MAX_LEVEL:
        raise MalformedError(f"node of level {its_level} where level {level} was expected")
    if not 1 <= count <= NODE_MAX_RECORDS or size != _HEADER.size + count * _RECORD.size:
        raise MalformedError(
            f"node that claims {format_count(count, 'record')} in {format_count(size, 'byte')}"
        )
    records = list(map(_new_record, iter_records(data)))
    lengths = [length for _, length in records]
    if min(lengths) == 0:
        raise MalformedError("node with an empty record")
    if level == 1 and max(lengths) > MAX_CHUNK_SIZE:
        raise MalformedError("node that lists a chunk above the maximum size")
    ends_of_ids = bytes(memoryview(data)[_HEADER.size + ID_BYTES - 1 :: _RECORD.size])
    if not _CLOSING_BYTES.isdisjoint(ends_of_ids[NODE_MIN_RECORDS - 1 : -1]):
        raise MalformedError("node that goes on after a closing record")
    if sum(lengths) != length or length > MAX_LENGTH:
        raise MalformedError(f"node of {format_count(sum(lengths), 'byte')}; expected: {length}")
    return Node(level, records)


def iter_records(data: Buffer) -> Iterator[tuple[bytes, int]]:
    """The records of an encoded node as (id, length), without any check."""
    return _RECORD.iter_unpack(memoryview(data)[_HEADER.size :])


def check_root(node: Node) -> None:
    """Refuses a node that cannot be the root of a content.

    Raises:
        MalformedError: It has a single record, which would be the content itself: the same bytes
            would have two hashes.
    """
    if len(node.records) == 1:
        raise MalformedError(LONE_ROOT)


class _Level:
    """The open node of one level, and whether a node was closed before it."""

    __slots__ = ("closed", "records")

    def __init__(self) -> None:
        self.records: list[tuple[bytes, int]] = []
        self.closed = False


class NodeBuilder:
    """Turns a stream of runs of chunks into nodes, the root last.

    Args:
        emit: Takes each finished node as (id, encoded bytes), lower ones first. A node that
            repeats within one run is emitted once.
    """

    def __init__(self, emit: Callable[[NodeId, bytes], None]) -> None:
        self._emit = emit
        self._levels: list[_Level] = []
        self._length = 0

    def add(self, run: Run) -> None:
        """Appends `run.times` chunks of `run.length` bytes each.

        Raises:
            UsageError: The content exceeds `MAX_LENGTH`, or needs too many levels.
        """
        self._grow(run.length * run.times)
        self._add(1, run)

    def extend(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Appends chunks, each as (id, length). Equals `add` for each, and is much faster.

        Raises:
            UsageError: As `add`.
        """
        if not self._levels:
            self._levels.append(_Level())
        self._grow(sum(length for _, length in chunks))
        here = self._levels[0]
        records = here.records
        for record in chunks:
            records.append(record)
            count = len(records)
            if (count >= NODE_MIN_RECORDS and _closes(record[0])) or count == NODE_MAX_RECORDS:
                self._close_open(1)
                records = here.records

    def is_between(self, level: int) -> bool:
        """Whether a node of `level` would begin here, and with it one of each level below."""
        return not any(open_node.records for open_node in self._levels[:level])

    def adopt(self, level: int, run: Run) -> None:
        """Appends `run.times` nodes of `level` that were closed elsewhere, where `is_between`.

        Each must end as `add` would end it, so none is the last one of its level.

        Raises:
            UsageError: As `add`.
        """
        assert self.is_between(level)
        self._grow(run.length * run.times)
        while len(self._levels) < level:
            self._levels.append(_Level())
        for below in self._levels[:level]:
            below.closed = True
        self._add(level + 1, run)

    def finish(self) -> Content:
        """Closes all open nodes; returns the content that the runs form.

        Raises:
            UsageError: It needs too many levels.
        """
        level = 0
        while level < len(self._levels):
            level += 1
            open_node = self._levels[level - 1]
            if not open_node.closed and len(open_node.records) == 1:
                # The only record of its level is itself the root.
                return Content(level - 1, *open_node.records[0])
            if open_node.records:
                run = self._close(level, open_node.records)
                if not open_node.closed:
                    return Content(level, run.id, run.length)
                open_node.records = []
                self._add(level + 1, run)
        return EMPTY

    def _grow(self, length: int) -> None:
        self._length += length
        if self._length > MAX_LENGTH:
            raise UsageError(f"content of more than {MAX_LENGTH} bytes")

    def _close(self, level: int, records: Sequence[tuple[bytes, int]]) -> Run:
        data = encode_records(level, records)
        ident = node_id(data)
        self._emit(ident, data)
        return Run(ident, sum(length for _, length in records), 1)

    def _close_open(self, level: int) -> None:
        """Closes the open node of a level and lists it one level above."""
        here = self._levels[level - 1]
        closed = self._close(level, here.records)
        here.records = []
        here.closed = True
        self._add(level + 1, closed)

    def _add(self, level: int, run: Run) -> None:
        if level > len(self._levels):
            if level > MAX_LEVEL:
                raise UsageError("content with too many chunks; use a larger chunk size")
            self._levels.append(_Level())
        here = self._levels[level - 1]
        # How many records fill a node when all of them equal this one.
        full = NODE_MIN_RECORDS if _closes(run.id) else NODE_MAX_RECORDS
        record = (run.id, run.length)
        left = run.times
        while left:
            if not here.records and left >= full:
                closed = self._close(level, [record] * full)
                here.closed = True
                self._add(level + 1, replace(closed, times=left // full))
                left %= full
                continue
            count = len(here.records)
            room = max(full - count, 1) if _closes(run.id) else full - count
            take = min(left, room)
            here.records.extend([record] * take)
            left -= take
            if take == room:
                self._close_open(level)
