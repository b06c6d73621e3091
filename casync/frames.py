"""The binary bodies of the wire: lists of ids, streams of frames, rows of sizes.

Both sides use this module (docs/PROTOCOL.md says it in bytes). It turns bytes into values and
values into bytes; it must not know about HTTP, sockets or stores, and it never decodes a payload:
whether one holds what its id names is for `codec.Unpacker` to prove.

Everything that the peer could make large is bounded before memory is spent: ids by the batch,
frames by the ids asked for, payloads by the kind's maximum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

import zstandard

from casync.codec import Codec, Packed
from casync.errors import (
    MalformedError,
    RemoteProtocolError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from casync.ids import ID_BYTES, Buffer, ChunkId, Kind, ObjectId
from casync.limits import MAX_BATCH_IDS, MAX_CHUNK_SIZE, MAX_MANIFEST_BYTES, MAX_NODE_BYTES

__all__ = [
    "END_FRAME",
    "FRAMES_TYPE",
    "IDS_TYPE",
    "MANIFEST_TYPE",
    "MAX_IDS_BYTES",
    "MAX_PLAIN",
    "SIZES_TYPE",
    "Answer",
    "FrameReader",
    "IdsRequest",
    "Status",
    "absence_frame",
    "decode_ids",
    "decode_sizes",
    "encode_frames",
    "encode_ids",
    "encode_sizes",
    "object_header",
]

IDS_TYPE: Final = "application/vnd.casync.ids"
FRAMES_TYPE: Final = "application/vnd.casync.frames"
SIZES_TYPE: Final = "application/vnd.casync.sizes"
MANIFEST_TYPE: Final = "application/vnd.casync.manifest"

_MAGIC: Final = b"CASQ"
_VERSION: Final = 1
_IDS: Final = struct.Struct("<4sBBHHH")  # magic, version, kind, flags, count, reserved
_FRAME: Final = struct.Struct("<BBHI")  # status, codec, count, length of the payload
_SIZES: Final = struct.Struct("<QQ")  # plain, stored
_NO_SIZE: Final = 2**64 - 1

_SMALL_PART: Final = 4096
"""Bytes. Below this, copying a part costs less than keeping the piece that it lies in."""

MAX_IDS_BYTES: Final = _IDS.size + MAX_BATCH_IDS * ID_BYTES
"""Bytes of the longest list of ids."""

MAX_PLAIN: Final = {
    Kind.CHUNK: MAX_CHUNK_SIZE,
    Kind.NODE: MAX_NODE_BYTES,
    Kind.MANIFEST: MAX_MANIFEST_BYTES,
}
"""Plain bytes of the largest object of each kind. A payload is never longer than its object."""


class Status(IntEnum):
    """What a frame says. 2 is reserved for groups of deltas."""

    OBJECT = 1
    MISSING = 3
    DAMAGED = 4
    BUSY = 5
    END = 6


_STATUSES: Final = {status.value: status for status in Status}
_CODECS: Final = {codec.value: codec for codec in Codec}
_ABSENT: Final = frozenset({Status.MISSING, Status.DAMAGED, Status.BUSY})

Answer: TypeAlias = Packed | Status
"""What one id got: its object, or why there is none (missing, damaged, busy)."""


class IdsRequest(NamedTuple):
    """The body of a fetch or a stat request: ids of one kind."""

    kind: Kind
    ids: list[ObjectId]


def encode_ids(kind: Kind, ids: Sequence[ObjectId]) -> bytes:
    """The body that asks for `ids`.

    Raises:
        UsageError: No id, or more than MAX_BATCH_IDS.
    """
    if not 1 <= len(ids) <= MAX_BATCH_IDS:
        raise UsageError(f"a request asks for 1 to {MAX_BATCH_IDS} ids, not {len(ids)}")
    return _IDS.pack(_MAGIC, _VERSION, kind, 0, len(ids), 0) + b"".join(ids)


def decode_ids(data: Buffer) -> IdsRequest:
    """Reads the body of a request.

    Raises:
        UnsupportedError: A later version, or flags of one.
        MalformedError: Anything else that `encode_ids` would not write.
    """
    if len(data) < _IDS.size:
        raise MalformedError("list of ids shorter than its header")
    magic, version, kind, flags, count, reserved = _IDS.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("list of ids with a wrong magic")
    if version != _VERSION:
        raise UnsupportedError(f"list of ids of version {version}; this program knows {_VERSION}")
    if flags:
        raise UnsupportedError(f"list of ids with unknown flags {flags:#06x}")
    if kind not in MAX_PLAIN or reserved:
        raise MalformedError(f"list of ids of unknown kind {kind}")
    if not 1 <= count <= MAX_BATCH_IDS:
        raise MalformedError(f"list of {count} ids; 1 to {MAX_BATCH_IDS} are allowed")
    if len(data) != _IDS.size + count * ID_BYTES:
        raise MalformedError(f"list that claims {count} ids in {len(data)} bytes")
    body = bytes(data)
    starts = range(_IDS.size, len(body), ID_BYTES)
    return IdsRequest(Kind(kind), [ChunkId(body[at : at + ID_BYTES]) for at in starts])


def object_header(packed: Packed) -> bytes:
    """The header of an object's frame; `packed.payload` goes after it, untouched."""
    return _FRAME.pack(Status.OBJECT, packed.codec, 1, len(packed.payload))


def absence_frame(status: Status, count: int) -> bytes:
    """A whole frame which says that the next `count` ids are missing, damaged or busy."""
    if status not in _ABSENT or not 1 <= count <= MAX_BATCH_IDS:
        raise UsageError(f"no frame says {status.name} for {count} ids")
    return _FRAME.pack(status, 0, count, 0)


END_FRAME: Final = _FRAME.pack(Status.END, 0, 0, 0)
"""The frame without which a stream is truncated."""


def encode_frames(answers: Iterable[Answer]) -> Iterator[bytes]:
    """The parts of a whole stream in order: headers, payloads as they are, and the end.

    Equal absences in a row become one frame. A caller that sends large pieces joins parts.
    """
    absent, count = Status.MISSING, 0
    for answer in answers:
        if isinstance(answer, Status) and answer is absent and count < MAX_BATCH_IDS:
            count += 1
            continue
        if count:
            yield absence_frame(absent, count)
            count = 0
        if isinstance(answer, Status):
            absent, count = answer, 1
        else:
            yield object_header(answer)
            yield answer.payload
    if count:
        yield absence_frame(absent, count)
    yield END_FRAME


class FrameReader:
    """Reads the stream of frames that answers one fetch request.

    Args:
        kind: The kind that was asked for.
        ids: The ids that were asked for, in order.
    """

    def __init__(self, kind: Kind, ids: Sequence[ObjectId]) -> None:
        self._kind = kind
        self._ids = ids
        self._max_payload = MAX_PLAIN[kind]
        self._header = b""  # of the frame that the last piece broke off in
        self._codec = Codec.RAW
        self._wanted = 0  # bytes of the open payload that are still to come
        self._parts: list[memoryview | bytearray] = []
        self._error: RemoteProtocolError | None = None
        self.answered = 0
        self.ended = False

    def feed(self, data: bytes) -> list[Answer]:
        """Takes the next bytes of the stream, cut anywhere; returns what they complete.

        A payload is copied once. Answers that came before an error are returned; the next call
        raises it.

        Raises:
            RemoteProtocolError: The stream breaks the protocol. The reader is of no more use.
        """
        answers: list[Answer] = []
        if self._error is None:
            try:
                self._take(data, answers)
            except RemoteProtocolError as error:
                self._error = error
        self.answered += len(answers)
        if self._error is not None and not answers:
            raise self._error
        return answers

    def finish(self) -> None:
        """Says that no more bytes come.

        Raises:
            UnreachableError: The stream broke off while ids were still open: worth asking again.
            RemoteProtocolError: It broke the protocol, or lacks nothing but its end.
        """
        if self._error is not None:
            raise self._error
        if self.ended:
            return
        if self.answered < len(self._ids):
            raise UnreachableError(
                f"an answer that breaks off after {self.answered} of {len(self._ids)} objects"
            )
        raise RemoteProtocolError("an answer without its end frame")

    def _take(self, data: bytes, answers: list[Answer]) -> None:
        at = 0
        size = len(data)
        while at < size:
            if self.ended:
                raise RemoteProtocolError("bytes after the end of an answer")
            if self._wanted:
                part = memoryview(data)[at : at + self._wanted]
                self._keep(part)
                self._wanted -= len(part)
                at += len(part)
                if not self._wanted:
                    payload = b"".join(self._parts)
                    self._parts = []
                    answers.append(self._object(payload, len(answers)))
                continue
            if self._header or size - at < _FRAME.size:
                part = memoryview(data)[at : at + _FRAME.size - len(self._header)]
                self._header += part
                at += len(part)
                if len(self._header) < _FRAME.size:
                    return
                length = self._open(self._header, 0, answers)
                self._header = b""
            else:
                length = self._open(data, at, answers)
                at += _FRAME.size
            if 0 < length <= size - at:
                answers.append(self._object(data[at : at + length], len(answers)))
                at += length
            else:
                self._wanted = length

    def _keep(self, part: memoryview) -> None:
        """Keeps a part of a payload, small ones joined: a payload may come byte by byte."""
        if len(part) >= _SMALL_PART:
            self._parts.append(part)
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += part
        else:
            self._parts.append(bytearray(part))

    def _open(self, data: bytes, at: int, answers: list[Answer]) -> int:
        """Reads a header; returns the length of the payload that must follow."""
        status, codec, count, length = _FRAME.unpack_from(data, at)
        left = len(self._ids) - self.answered - len(answers)
        if status == Status.OBJECT:
            if count != 1 or codec not in _CODECS:
                raise RemoteProtocolError(f"an object's frame with codec {codec} for {count} ids")
            if not left:
                raise RemoteProtocolError("more objects than were asked for")
            if not 1 <= length <= self._max_payload:
                raise RemoteProtocolError(
                    f"a payload of {length} bytes; a {self._kind.name.lower()} has "
                    f"1 to {self._max_payload}"
                )
            self._codec = _CODECS[codec]
            return int(length)
        if status not in _STATUSES:
            raise RemoteProtocolError(f"a frame of unknown status {status}")
        if codec or length:
            raise RemoteProtocolError("a payload where none belongs")
        if status == Status.END:
            if count:
                raise RemoteProtocolError("an end frame that answers ids")
            if left:
                raise RemoteProtocolError(f"an answer that ends {left} objects early")
            self.ended = True
        elif not 1 <= count <= left:
            raise RemoteProtocolError(f"a frame for {count} ids where {left} are open")
        else:
            answers.extend([_STATUSES[status]] * count)
        return 0

    def _object(self, payload: bytes, before: int) -> Packed:
        length = len(payload)
        if self._codec is Codec.ZSTD:
            try:
                length = zstandard.frame_content_size(payload)
            except zstandard.ZstdError as error:
                raise RemoteProtocolError("a payload that is no zstd frame") from error
            if not 1 <= length <= self._max_payload:
                raise RemoteProtocolError(
                    f"a zstd frame of {length} bytes; a {self._kind.name.lower()} has "
                    f"1 to {self._max_payload}, and says so"
                )
        return Packed(self._kind, self._ids[self.answered + before], self._codec, length, payload)


def encode_sizes(rows: Iterable[tuple[int, int] | None]) -> bytes:
    """The answer to a stat request: (plain, stored) bytes per id, None where it is missing."""
    return b"".join([_SIZES.pack(*(row or (_NO_SIZE, _NO_SIZE))) for row in rows])


def decode_sizes(kind: Kind, count: int, data: Buffer) -> list[tuple[int, int] | None]:
    """Reads the answer to a stat request for `count` ids of `kind`.

    Raises:
        RemoteProtocolError: It is not that long, or no object has such sizes.
    """
    if len(data) != count * _SIZES.size:
        raise RemoteProtocolError(f"sizes of {count} objects in {len(data)} bytes")
    rows: list[tuple[int, int] | None] = []
    for plain, stored in _SIZES.iter_unpack(data):
        if plain == stored == _NO_SIZE:
            rows.append(None)
        elif 1 <= stored <= plain <= MAX_PLAIN[kind]:
            rows.append((plain, stored))
        else:
            raise RemoteProtocolError(
                f"a {kind.name.lower()} of {plain} bytes that is stored in {stored}"
            )
    return rows
