"""The frames of the wire: the stream that answers a fetch request.

Both sides use this module; docs/PROTOCOL.md defines the bytes. Payloads are not decoded here:
`codec.Unpacker` and `delta.unpack_group` prove that they match their ids.

Sizes that the peer announces are bounded before memory is spent: frames by the requested ids,
payloads by the maximum of the kind or of a group.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, TypeAlias

import zstandard

from casync.errors import RemoteProtocolError, UnreachableError, UsageError
from casync.ids import Buffer, Kind
from casync.limits import MAX_BATCH_IDS, MAX_GROUP_BYTES
from casync.objects.codec import MAX_PLAIN, Codec, Packed
from casync.objects.delta import Delta, Group, Singles, wanted_ids
from casync.sizes import format_count

__all__ = [
    "END_FRAME",
    "FRAMES_TYPE",
    "MANIFEST_TYPE",
    "Answer",
    "FrameReader",
    "Status",
    "absence_frame",
    "encode_answers",
    "encode_frames",
    "answer_header",
]

FRAMES_TYPE: Final = "application/vnd.casync.frames"
MANIFEST_TYPE: Final = "application/vnd.casync.manifest"

_FRAME: Final = struct.Struct("<BBHI")  # status, codec, count, length of the payload

_SMALL_PART: Final = 4096
"""Bytes below which copying a part costs less than keeping the received piece that holds it."""


class Status(IntEnum):
    """The status of a frame."""

    OBJECT = 1
    DELTA = 2
    MISSING = 3
    DAMAGED = 4
    BUSY = 5
    END = 6


_STATUSES: Final = {status.value: status for status in Status}
_CODECS: Final = {codec.value: codec for codec in Codec}
_OBJECT: Final = Status.OBJECT.value
_ZSTD: Final = Codec.ZSTD.value
_ABSENT: Final = frozenset({Status.MISSING, Status.DAMAGED, Status.BUSY})

Answer: TypeAlias = Packed | Delta | Status
"""The answer for one id: its object, or why there is none (missing, damaged, busy). A `Delta`
answers all ids of a group."""


def answer_header(answer: Packed | Delta) -> bytes:
    """The header of the frame of an object or a group; the payload follows it as it is."""
    if isinstance(answer, Delta):
        return _FRAME.pack(Status.DELTA, Codec.ZSTD, len(answer.ids), len(answer.payload))
    return _FRAME.pack(Status.OBJECT, answer.codec, 1, len(answer.payload))


def absence_frame(status: Status, count: int) -> bytes:
    """A whole frame that answers the next `count` ids with missing, damaged or busy.

    Raises:
        UsageError: Another status, or `count` is not from 1 to MAX_BATCH_IDS.
    """
    if status not in _ABSENT or not 1 <= count <= MAX_BATCH_IDS:
        raise UsageError(f"there is no frame with status {status.name} for {count} ids")
    return _FRAME.pack(status, 0, count, 0)


END_FRAME: Final = _FRAME.pack(Status.END, 0, 0, 0)
"""The last frame. A stream without it is truncated."""


def encode_frames(answers: Iterable[Answer]) -> list[Buffer]:
    """The parts of a whole stream in order: those of `encode_answers`, and the end frame."""
    return [*encode_answers(answers), END_FRAME]


def encode_answers(answers: Iterable[Answer]) -> list[Buffer]:
    """The parts of a stream without its end, in order: headers, and payloads as they are.

    Consecutive equal absences share a frame. Callers join parts to send larger pieces.
    """
    parts: list[Buffer] = []
    absent, count = Status.MISSING, 0
    for answer in answers:
        if isinstance(answer, Status):
            if count and (answer is not absent or count == MAX_BATCH_IDS):
                parts.append(absence_frame(absent, count))
                count = 0
            absent = answer
            count += 1
            continue
        if count:
            parts.append(absence_frame(absent, count))
            count = 0
        parts += (answer_header(answer), answer.payload)
    if count:
        parts.append(absence_frame(absent, count))
    return parts


class FrameReader:
    """Reads the stream of frames that answers one fetch request.

    Args:
        kind: The requested kind.
        groups: The requested groups, in order.

    Attributes:
        wanted: Number of requested ids.
        answered: Number of ids answered so far.
        ended: Whether the end frame was read.
    """

    def __init__(self, kind: Kind, groups: Sequence[Group]) -> None:
        self._kind = kind
        self._ids = wanted_ids(groups)
        self._groups: dict[int, int] = {}  # first index of a group that may be a delta, its size
        start = 0
        for group in () if isinstance(groups, Singles) else groups:
            if not group.is_single:
                self._groups[start] = len(group.wanted)
            start += len(group.wanted)
        self._header = b""  # the first bytes of a header that the last piece ended in
        self._status = Status.OBJECT  # of the open payload
        self._codec = Codec.RAW
        self._wanted = 0  # bytes of the open payload that are still to come
        self._parts: list[memoryview | bytearray] = []
        self._error: RemoteProtocolError | None = None
        self.wanted = len(self._ids)
        self.answered = 0
        self.ended = False

    def feed(self, data: Buffer) -> list[Answer]:
        """Takes the next bytes of the stream, cut anywhere; returns the answers they complete.

        Chunks come by the thousand and are soon used: a payload that is whole in `data` is a view
        of it. Others are copied once. Answers before an error are returned; the next call raises
        it.

        Raises:
            RemoteProtocolError: The stream breaks the protocol. All later calls raise this, too.
        """
        answers: list[Answer] = []
        if self._error is None:
            try:
                self._take(memoryview(data), answers)
            except RemoteProtocolError as error:
                self._error = error
        if self._error is not None and not answers:
            raise self._error
        return answers

    def check(self) -> None:
        """Checks what was read before the connection broke.

        Raises:
            RemoteProtocolError: It breaks the protocol.
        """
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Ends the stream where the HTTP body ended.

        Raises:
            UnreachableError: The stream ended before all ids were answered; a retry may succeed.
            RemoteProtocolError: It breaks the protocol, or only its end frame is missing.
        """
        self.check()
        if self.ended:
            return
        if self.answered < self.wanted:
            raise UnreachableError(
                f"an answer that breaks off after {self.answered} of "
                f"{format_count(self.wanted, 'object')}"
            )
        raise RemoteProtocolError("an answer without its end frame")

    def _take(self, data: memoryview, answers: list[Answer]) -> None:
        at = 0
        size = len(data)
        while at < size:
            if self.ended:
                raise RemoteProtocolError("bytes after the end of an answer")
            if self._wanted:
                part = data[at : at + self._wanted]
                self._keep(part)
                self._wanted -= len(part)
                at += len(part)
                if not self._wanted:
                    payload = b"".join(self._parts)
                    self._parts = []
                    answers.append(self._payload(payload))
                continue
            at = self._take_whole(data, at, answers)
            if at == size:
                return
            if self._header or size - at < _FRAME.size:
                part = data[at : at + _FRAME.size - len(self._header)]
                self._header += part
                at += len(part)
                if len(self._header) < _FRAME.size:
                    return
                self._wanted = self._open(self._header, 0, answers)
                self._header = b""
            else:
                self._wanted = self._open(data, at, answers)
                at += _FRAME.size

    def _take_whole(self, data: memoryview, at: int, answers: list[Answer]) -> int:
        """Takes frames of objects that are whole in `data`, and in order; returns where they end.

        Nearly all bytes of a stream are in such frames.
        """
        if self._header:
            return at
        kind, ids, answered, wanted = self._kind, self._ids, self.answered, self.wanted
        most, size, last = MAX_PLAIN[kind], len(data), len(data) - _FRAME.size
        unpack, content_size = _FRAME.unpack_from, zstandard.frame_content_size
        add, keep = answers.append, memoryview if kind is Kind.CHUNK else bytes
        while at <= last and answered < wanted:
            status, codec, count, length = unpack(data, at)
            start = at + _FRAME.size
            end = start + length
            if status != _OBJECT or count != 1 or codec > _ZSTD or not start < end <= size:
                break
            payload = data[start:end]
            try:
                plain = content_size(payload) if codec else length
            except zstandard.ZstdError:
                break
            if not (length <= most and 1 <= plain <= most):
                break
            add(Packed(kind, ids[answered], _CODECS[codec], plain, keep(payload)))
            answered += 1
            at = end
        self.answered = answered
        return at

    def _keep(self, part: memoryview) -> None:
        """Keeps a part of a payload. Joins small ones: a payload may come byte by byte."""
        if len(part) >= _SMALL_PART:
            self._parts.append(part)
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += part
        else:
            self._parts.append(bytearray(part))

    def _open(self, data: Buffer, at: int, answers: list[Answer]) -> int:
        """Reads a header; returns the bytes of the payload that must follow."""
        status, codec, count, length = _FRAME.unpack_from(data, at)
        left = self.wanted - self.answered
        if status not in _STATUSES:
            raise RemoteProtocolError(f"a frame of unknown status {status}")
        status = _STATUSES[status]
        if status in (Status.OBJECT, Status.DELTA):
            self._check_opened(status, codec, count, length)
            self._status, self._codec = status, _CODECS[codec]
            return int(length)
        if codec or length:
            raise RemoteProtocolError(f"a {status.name} frame with a codec or a payload")
        if status is Status.END:
            if count:
                raise RemoteProtocolError("an end frame that answers ids")
            if left:
                raise RemoteProtocolError(
                    f"an answer that ends {format_count(left, 'object')} early"
                )
            self.ended = True
        elif not 1 <= count <= left:
            raise RemoteProtocolError(f"a frame for {format_count(count, 'id')}; open: {left}")
        else:
            answers.extend([status] * count)
            self.answered += count
        return 0

    def _check_opened(self, status: Status, codec: int, count: int, length: int) -> None:
        """Checks the header of a frame with a payload against the request."""
        if codec not in _CODECS or (status is Status.OBJECT and count != 1):
            raise RemoteProtocolError(
                f"an object's frame with codec {codec} for {format_count(count, 'id')}"
            )
        if self.answered == self.wanted:
            raise RemoteProtocolError("more objects than were requested")
        if status is Status.DELTA and (
            codec != Codec.ZSTD or count != self._groups.get(self.answered)
        ):
            raise RemoteProtocolError(f"a delta for {format_count(count, 'id')}, not a group")
        if not 1 <= length <= self._max_bytes(status):
            raise RemoteProtocolError(
                f"a payload of {format_count(length, 'byte')}; {self._bounds(status)}"
            )

    def _payload(self, payload: bytes) -> Packed | Delta:
        """The answer that a payload completes."""
        length = len(payload)
        if self._codec is Codec.ZSTD:
            try:
                length = zstandard.frame_content_size(payload)
            except zstandard.ZstdError as error:
                raise RemoteProtocolError("a payload that is not a zstd frame") from error
            if not 1 <= length <= self._max_bytes(self._status):
                raise RemoteProtocolError(
                    f"a zstd frame that announces {length} plain bytes; "
                    f"{self._bounds(self._status)}"
                )
        start = self.answered
        if self._status is Status.DELTA:
            self.answered += self._groups[start]
            return Delta(self._kind, self._ids[start : self.answered], length, payload)
        self.answered += 1
        return Packed(self._kind, self._ids[start], self._codec, length, payload)

    def _max_bytes(self, status: Status) -> int:
        return MAX_GROUP_BYTES if status is Status.DELTA else MAX_PLAIN[self._kind]

    def _bounds(self, status: Status) -> str:
        what = "group" if status is Status.DELTA else self._kind.name.lower()
        return f"a {what} has 1 to {self._max_bytes(status)}"
