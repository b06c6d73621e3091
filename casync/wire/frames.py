"""The frames of the wire: the stream that answers a fetch request.

Both sides use this module (docs/PROTOCOL.md says it in bytes). It turns bytes into values and
values into bytes; it must not know about HTTP, sockets or stores, and it never decodes a payload:
whether one holds what its id names is for `codec.Unpacker` and `delta.unpack_group` to prove.

Everything that the peer could make large is bounded before memory is spent: frames by the ids
asked for, payloads by the maximum of the kind or of a group.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final, TypeAlias

import zstandard

from casync.errors import RemoteProtocolError, UnreachableError, UsageError
from casync.ids import Kind
from casync.limits import MAX_BATCH_IDS, MAX_GROUP_BYTES
from casync.objects.codec import MAX_PLAIN, Codec, Packed
from casync.objects.delta import Delta, Group

__all__ = [
    "END_FRAME",
    "FRAMES_TYPE",
    "MANIFEST_TYPE",
    "Answer",
    "FrameReader",
    "Status",
    "absence_frame",
    "encode_frames",
    "answer_header",
]

FRAMES_TYPE: Final = "application/vnd.casync.frames"
MANIFEST_TYPE: Final = "application/vnd.casync.manifest"

_FRAME: Final = struct.Struct("<BBHI")  # status, codec, count, length of the payload

_SMALL_PART: Final = 4096
"""Bytes. Below this, copying a part costs less than keeping the piece that it lies in."""


class Status(IntEnum):
    """What a frame says."""

    OBJECT = 1
    DELTA = 2
    MISSING = 3
    DAMAGED = 4
    BUSY = 5
    END = 6


_STATUSES: Final = {status.value: status for status in Status}
_CODECS: Final = {codec.value: codec for codec in Codec}
_ABSENT: Final = frozenset({Status.MISSING, Status.DAMAGED, Status.BUSY})

Answer: TypeAlias = Packed | Delta | Status
"""What one id got: its object, or why there is none (missing, damaged, busy). Or what all ids of a
group got."""


def answer_header(answer: Packed | Delta) -> bytes:
    """The header of the frame of an object or a group; its payload goes after it, untouched."""
    if isinstance(answer, Delta):
        return _FRAME.pack(Status.DELTA, Codec.ZSTD, len(answer.ids), len(answer.payload))
    return _FRAME.pack(Status.OBJECT, answer.codec, 1, len(answer.payload))


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
            yield answer_header(answer)
            yield answer.payload
    if count:
        yield absence_frame(absent, count)
    yield END_FRAME


class FrameReader:
    """Reads the stream of frames that answers one fetch request.

    Args:
        kind: The kind that was asked for.
        groups: What was asked for, in order.

    Attributes:
        wanted: How many ids were asked for.
        answered: How many of them were answered.
        ended: Whether the end was seen.
    """

    def __init__(self, kind: Kind, groups: Sequence[Group]) -> None:
        self._kind = kind
        self._ids = [ident for group in groups for ident in group.wanted]
        self._groups: dict[int, int] = {}  # where one begins that may be a delta, and its count
        start = 0
        for group in groups:
            if not group.is_single:
                self._groups[start] = len(group.wanted)
            start += len(group.wanted)
        self._header = b""  # of the frame that the last piece broke off in
        self._status = Status.OBJECT  # of the open payload
        self._codec = Codec.RAW
        self._wanted = 0  # bytes of the open payload that are still to come
        self._parts: list[memoryview | bytearray] = []
        self._error: RemoteProtocolError | None = None
        self.wanted = start
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
        if self._error is not None and not answers:
            raise self._error
        return answers

    def check(self) -> None:
        """Says that the connection broke: what came is good if it kept to the protocol.

        Raises:
            RemoteProtocolError: It broke it.
        """
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Says that no more bytes come, by the word of HTTP.

        Raises:
            UnreachableError: The stream broke off while ids were still open: worth asking again.
            RemoteProtocolError: It broke the protocol, or lacks nothing but its end.
        """
        self.check()
        if self.ended:
            return
        if self.answered < self.wanted:
            raise UnreachableError(
                f"an answer that breaks off after {self.answered} of {self.wanted} objects"
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
                    answers.append(self._payload(payload))
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
                answers.append(self._payload(data[at : at + length]))
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
        left = self.wanted - self.answered
        if status not in _STATUSES:
            raise RemoteProtocolError(f"a frame of unknown status {status}")
        status = _STATUSES[status]
        if status in (Status.OBJECT, Status.DELTA):
            self._check_opened(status, codec, count, length)
            self._status, self._codec = status, _CODECS[codec]
            return int(length)
        if codec or length:
            raise RemoteProtocolError("a payload where none belongs")
        if status is Status.END:
            if count:
                raise RemoteProtocolError("an end frame that answers ids")
            if left:
                raise RemoteProtocolError(f"an answer that ends {left} objects early")
            self.ended = True
        elif not 1 <= count <= left:
            raise RemoteProtocolError(f"a frame for {count} ids where {left} are open")
        else:
            answers.extend([status] * count)
            self.answered += count
        return 0

    def _check_opened(self, status: Status, codec: int, count: int, length: int) -> None:
        """Holds the header of a frame with a payload to what was asked for."""
        if codec not in _CODECS or (status is Status.OBJECT and count != 1):
            raise RemoteProtocolError(f"an object's frame with codec {codec} for {count} ids")
        if self.answered == self.wanted:
            raise RemoteProtocolError("more objects than were asked for")
        if status is Status.DELTA and (
            codec != Codec.ZSTD or count != self._groups.get(self.answered)
        ):
            raise RemoteProtocolError(f"a delta for {count} ids that are no group")
        if not 1 <= length <= self._max_bytes(status):
            raise RemoteProtocolError(f"a payload of {length} bytes; {self._bounds(status)}")

    def _payload(self, payload: bytes) -> Packed | Delta:
        """The answer that a payload makes."""
        length = len(payload)
        if self._codec is Codec.ZSTD:
            try:
                length = zstandard.frame_content_size(payload)
            except zstandard.ZstdError as error:
                raise RemoteProtocolError("a payload that is no zstd frame") from error
            if not 1 <= length <= self._max_bytes(self._status):
                raise RemoteProtocolError(
                    f"a zstd frame of {length} bytes; {self._bounds(self._status)}, and says so"
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
