"""The body of a request that sends objects to a server.

Both sides use this module; docs/PROTOCOL.md defines the bytes. Payloads are not decoded here:
`codec.Unpacker` proves that they match their ids. Sizes that the client announces are bounded
before memory is spent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

import zstandard

from casync.errors import MalformedError
from casync.ids import ID_BYTES, Buffer, ChunkId, Kind
from casync.limits import MAX_BATCH_BYTES, MAX_BATCH_IDS
from casync.objects.codec import MAX_PLAIN, Codec, Packed
from casync.sizes import format_count

__all__ = ["MAX_UPLOAD_BYTES", "OBJECTS_TYPE", "UploadReader", "encode_upload", "joined"]

OBJECTS_TYPE: Final = "application/vnd.casync.objects"

_HEADER: Final = struct.Struct(f"<BBHI{ID_BYTES}s")  # kind, codec, 0, length of the payload, id
_END: Final = bytes(_HEADER.size)
_CODECS: Final = {codec.value: codec for codec in Codec}

MAX_UPLOAD_BYTES: Final = MAX_BATCH_BYTES + (MAX_BATCH_IDS + 1) * _HEADER.size
"""Bytes of the longest body: a payload is never longer than its plain bytes."""


def encode_upload(objects: Iterable[Packed]) -> Iterator[Buffer]:
    """The parts of a whole body in order: headers, payloads as they are, and the end."""
    for kind, ident, codec, _, payload in objects:
        yield _HEADER.pack(kind, codec, 0, len(payload), ident)
        yield payload
    yield _END


def joined(parts: Iterable[Buffer], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size` bytes; the last one may be shorter."""
    piece: list[Buffer] = []
    room = size
    for part in parts:
        at = 0
        while len(part) - at >= room:
            piece.append(part[at : at + room])
            yield b"".join(piece)
            at += room
            piece, room = [], size
        if at < len(part):
            piece.append(part[at:])
            room -= len(part) - at
    if piece:
        yield b"".join(piece)


class UploadReader:
    """Reads a body.

    Attributes:
        ended: Whether the end was read.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()  # the received part of a header or a payload
        self._wanted = _HEADER.size
        self._open: tuple[Kind, Codec, bytes] | None = None  # the object whose payload follows
        self._objects = 0
        self._plain = 0
        self._error: MalformedError | None = None
        self.ended = False

    def feed(self, data: bytes) -> list[Packed]:
        """Takes the next bytes, cut anywhere; returns the objects that they complete.

        Objects before an error are returned; the next call raises it.

        Raises:
            MalformedError: The body breaks the format, or is too large. All later calls raise
                this, too.
        """
        objects: list[Packed] = []
        if self._error is None:
            try:
                self._take(data, objects)
            except MalformedError as error:
                self._error = error
        if self._error is not None and not objects:
            raise self._error
        return objects

    def _take(self, data: bytes, objects: list[Packed]) -> None:
        rest = memoryview(data)
        while rest:
            if self.ended:
                raise MalformedError("bytes after the end of an upload")
            part = rest[: self._wanted - len(self._buffer)]
            rest = rest[len(part) :]
            self._buffer += part
            if len(self._buffer) < self._wanted:
                break
            whole, self._buffer = bytes(self._buffer), bytearray()
            if self._open is None:
                self._begin(whole)
            else:
                objects.append(self._end_object(*self._open, whole))
                self._open, self._wanted = None, _HEADER.size

    def finish(self) -> None:
        """Ends the body.

        Raises:
            MalformedError: The end is missing, or the body breaks the format before it.
        """
        if self._error is not None:
            raise self._error
        if not self.ended:
            raise MalformedError("an upload without its end")

    def _begin(self, header: bytes) -> None:
        if header == _END:
            self.ended = True
            return
        kind, codec, zero, length, ident = _HEADER.unpack(header)
        if kind not in MAX_PLAIN or codec not in _CODECS or zero:
            raise MalformedError(f"an object of unknown kind {kind} or codec {codec}")
        self._objects += 1
        if self._objects > MAX_BATCH_IDS:
            raise MalformedError(f"more than {MAX_BATCH_IDS} objects at once")
        if not 1 <= length <= MAX_PLAIN[kind]:
            raise MalformedError(
                f"a payload of {format_count(length, 'byte')}; 1 to {MAX_PLAIN[kind]} are allowed"
            )
        if self._plain + length > MAX_BATCH_BYTES:
            raise _too_much()
        self._open, self._wanted = (Kind(kind), _CODECS[codec], ident), length

    def _end_object(self, kind: Kind, codec: Codec, ident: bytes, payload: bytes) -> Packed:
        length = len(payload)
        if codec is Codec.ZSTD:
            try:
                length = zstandard.frame_content_size(payload)
            except zstandard.ZstdError as error:
                raise MalformedError("a payload that is not a zstd frame") from error
            if not len(payload) < length <= MAX_PLAIN[kind]:
                raise MalformedError(
                    f"a zstd frame of {format_count(len(payload), 'byte')} "
                    f"that announces {format_count(length, 'plain byte')}"
                )
        self._plain += length
        if self._plain > MAX_BATCH_BYTES:
            raise _too_much()
        return Packed(kind, ChunkId(ident), codec, length, payload)


def _too_much() -> MalformedError:
    return MalformedError(f"more than {MAX_BATCH_BYTES} plain bytes at once")
