"""Payloads: how an object's plain bytes are packed for the store and the wire.

`Packed` is an object as read from a segment or a frame: its payload is not proved yet to match its
id. `Verified` is a `Packed` whose payload is proved; only that may be stored.

Lengths are untrusted: each is compared with the bound of its kind, and with the frame's own size
field, before a byte is decoded, because python-zstandard ignores `max_output_size` if the frame
carries a size, and allocates what the frame claims.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import zstandard

from casync.errors import DamagedObjectError, IntegrityError, MalformedError, UsageError
from casync.ids import Buffer, Kind, ObjectId, chunk_id, object_id
from casync.limits import (
    KIB,
    MAX_CHUNK_SIZE,
    MAX_FRAME_BLOCKS,
    MAX_MANIFEST_BYTES,
    MAX_NODE_BYTES,
    MAX_ZSTD_LEVEL,
    MIN_ZSTD_LEVEL,
    ZSTD_WINDOW_BYTES,
)
from casync.sizes import format_count

__all__ = [
    "DEFAULT_LEVEL",
    "MAX_PLAIN",
    "Codec",
    "Packed",
    "Packer",
    "Unpacker",
    "Verified",
]

DEFAULT_LEVEL = 1
"""zstd level of stored payloads: the fastest that still halves typical images."""

MAX_PLAIN = {
    Kind.CHUNK: MAX_CHUNK_SIZE,
    Kind.NODE: MAX_NODE_BYTES,
    Kind.MANIFEST: MAX_MANIFEST_BYTES,
}
"""Plain bytes of the largest object of each kind. A payload is never longer than its object."""

_ENCODES_MANY: Final = "multi_compress_to_buffer" in zstandard.backend_features
_DECODES_MANY: Final = "multi_decompress_to_buffer" in zstandard.backend_features
"""Whether zstandard has its C part, which takes many frames at once."""

_PLAINS_A_THREAD = 32
"""Chunks below which starting one more thread, and waiting for it, takes longer than packing."""

_SAMPLED: Final = 8
"""One of so many chunks is tried first. In a store as in a file, neighbours are of one kind."""

_LEAST_SAMPLED: Final = 2 * _SAMPLED
"""Chunks from which on trying some first pays."""

_CHECKSUM_FLAG: Final = 4
"""The bit of a frame's fifth byte that announces a checksum: by chance also its size in bytes."""

_RUN_BLOCK: Final = 2
"""A block's type, in its place: one byte that stands for many."""

_BLOCK_BYTES: Final = 128 * KIB
"""Plain bytes of the largest block (RFC 8878 section 3.1.1.2.4)."""


class Codec(IntEnum):
    """How a payload is encoded."""

    RAW = 0
    ZSTD = 1


class Packed(NamedTuple):
    """An object as it is stored and sent.

    Attributes:
        kind: What the object is.
        id: The id under which it was asked for or found.
        codec: How `payload` is encoded.
        length: Plain bytes.
        payload: The encoded bytes.
    """

    kind: Kind
    id: ObjectId
    codec: Codec
    length: int
    payload: Buffer


class Verified(Packed):
    """A `Packed` whose payload is proved to hold the bytes that `id` names."""

    __slots__ = ()

    @classmethod
    def encoded(cls, kind: Kind, ident: ObjectId, length: int, payload: bytes) -> Verified:
        """The object whose payload `Packer.encode` made of `length` bytes with the id `ident`."""
        codec = Codec.ZSTD if len(payload) < length else Codec.RAW
        return cls(kind, ident, codec, length, payload)

    def _replace(self, **fields: Any) -> Any:
        """A changed copy, which is not proved."""
        return Packed(*self)._replace(**fields)


class Packer:
    """Encodes plain bytes. Not shared between threads: zstd contexts are not.

    Args:
        level: zstd level, 1 to 22.
        threads: Threads of the library for large batches.

    Raises:
        UsageError: `level` is out of range.
    """

    def __init__(self, level: int = DEFAULT_LEVEL, threads: int = 1) -> None:
        if not MIN_ZSTD_LEVEL <= level <= MAX_ZSTD_LEVEL:
            raise UsageError(f"zstd level must be {MIN_ZSTD_LEVEL} to {MAX_ZSTD_LEVEL}")
        self._zstd = zstandard.ZstdCompressor(level=level, write_content_size=True)
        self._threads = threads

    def pack(self, kind: Kind, ident: ObjectId, plain: Buffer) -> Verified:
        """Packs `plain`; the caller must have computed `ident` from these bytes."""
        frame = self._zstd.compress(plain)
        payload = frame if len(frame) < len(plain) else bytes(plain)
        return Verified.encoded(kind, ident, len(plain), payload)

    def encode(self, plains: Sequence[Buffer]) -> list[Buffer]:
        """The payloads of many chunks, in order, made in one call that frees the interpreter.

        One that is as long as its plain bytes is those bytes, not encoded. Where no sample shrinks
        the others are not tried: images, videos and archives would cost as much as their hashes do.
        A call for each object would wait for the interpreter each time, for milliseconds when
        another thread has it.
        """
        if len(plains) < _LEAST_SAMPLED:
            return self._encode(plains)
        samples, others = plains[::_SAMPLED], [*plains]
        tried = self._encode(samples)
        if all(payload is plain for payload, plain in zip(tried, samples, strict=True)):
            return others
        del others[::_SAMPLED]
        found, rest = iter(tried), iter(self._encode(others))
        return [next(rest if number % _SAMPLED else found) for number in range(len(plains))]

    def _encode(self, plains: Sequence[Buffer]) -> list[Buffer]:
        if not plains:
            return []
        if not _ENCODES_MANY:
            frames: Any = [self._zstd.compress(plain) for plain in plains]
        else:
            threads = min(self._threads, 1 + len(plains) // _PLAINS_A_THREAD)
            frames = self._zstd.multi_compress_to_buffer(list(plains), threads=threads)
        pairs = zip(frames, plains, strict=True)
        return [frame if len(frame) < len(plain) else plain for frame, plain in pairs]

    def pack_batch(self, kind: Kind, items: Sequence[tuple[ObjectId, Buffer]]) -> list[Verified]:
        """Packs many objects as `pack` does, in order."""
        payloads = self.encode([plain for _, plain in items])
        return [
            Verified.encoded(kind, ident, len(plain), bytes(payload))
            for (ident, plain), payload in zip(items, payloads, strict=True)
        ]

    def pack_new(self, kind: Kind, plain: Buffer) -> Verified:
        """Names and packs `plain`."""
        return self.pack(kind, object_id(kind, plain), plain)


def _check_length(packed: Packed) -> None:
    if not 1 <= packed.length <= MAX_PLAIN[packed.kind]:
        raise MalformedError(f"{packed.kind.name.lower()} of {format_count(packed.length, 'byte')}")


def _check_raw(packed: Packed) -> None:
    """Checks that a payload that is not encoded has the length announced."""
    _check_length(packed)
    if len(packed.payload) != packed.length:
        size = format_count(len(packed.payload), "byte")
        raise MalformedError(f"raw payload of {size}; announced: {packed.length}")


def _check_frame(packed: Packed) -> None:
    """Checks a zstd payload before it is decoded: one frame, of the length announced."""
    _check_length(packed)
    payload = packed.payload
    if zstandard.frame_content_size(payload) != packed.length:
        raise MalformedError("zstd frame whose size is not the one announced")
    if len(payload) >= packed.length:
        raise MalformedError("zstd frame that is not shorter than its plain bytes")
    # The decoder of many frames ignores what follows each, so the headers of the blocks are
    # walked here: 21 bits of size, 2 of type and 1 that marks the last (RFC 8878 section 3.1.1.2).
    at = zstandard.frame_header_size(payload)
    end = len(payload) - (payload[4] & _CHECKSUM_FLAG)
    blocks = MAX_FRAME_BLOCKS * (1 + (packed.length - 1) // _BLOCK_BYTES)
    is_last = 0
    while not is_last and at < end and blocks:
        blocks -= 1
        header = int.from_bytes(payload[at : at + 3], "little")
        is_last = header & 1
        at += 4 if header & 6 == _RUN_BLOCK else 3 + (header >> 3)
    if not is_last and not blocks:
        raise MalformedError("zstd frame of too many blocks")
    if at != end or not is_last:
        raise MalformedError("zstd payload that is not exactly one frame")


class _Decoder(threading.local):
    """Decodes frames in one thread. To make one takes longer than to read a small file."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)


_decoder: Final = _Decoder()


class Unpacker:
    """Decodes and proves payloads. Costs nothing to make, and threads may share it."""

    def decode(self, packed: Packed) -> bytes:
        """The plain bytes, of exactly `packed.length`, not yet compared with the id.

        Raises:
            MalformedError: The payload is not one frame of that length, or no object of its kind
                has that length.
        """
        payload = packed.payload
        if packed.codec is Codec.RAW:
            _check_raw(packed)
            return bytes(payload)
        try:
            _check_frame(packed)
            return _decoder.zstd.decompress(
                payload, max_output_size=packed.length, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise MalformedError(f"broken zstd frame: {error}") from error

    def unpack_chunks(self, objects: Sequence[Packed]) -> list[Buffer | None]:
        """The plain bytes of many chunks, each proved as by `unpack`; None where it would raise.

        A call for each object would wait for the interpreter each time.
        """
        zstd = Codec.ZSTD
        try:
            decoded = iter(self._decode_frames([p for p in objects if p.codec is zstd]))
            for packed in objects:
                if packed.codec is not zstd:
                    _check_raw(packed)
            plains = [
                next(decoded) if packed.codec is zstd else packed.payload for packed in objects
            ]
        except MalformedError:  # of one of them: each by itself
            return [self._unpack_or_none(packed) for packed in objects]
        return [
            plain if isinstance(packed, Verified) or packed.id == chunk_id(plain) else None
            for packed, plain in zip(objects, plains, strict=True)
        ]

    def _decode_frames(self, frames: Sequence[Packed]) -> Iterable[Buffer]:
        """The plain bytes of zstd frames, decoded in one call that frees the interpreter.

        Raises:
            MalformedError: As `decode`, for any of them.
        """
        if not frames or not _DECODES_MANY:
            return [self.decode(packed) for packed in frames]
        lengths = array("Q", [packed.length for packed in frames]).tobytes()
        payloads: Any = [packed.payload for packed in frames]
        try:
            for packed in frames:
                _check_frame(packed)
            found: Any = _decoder.zstd.multi_decompress_to_buffer(
                payloads, decompressed_sizes=lengths
            )
        except (zstandard.ZstdError, ValueError) as error:  # the latter of an empty payload
            raise MalformedError(f"broken zstd frame: {error}") from error
        return (memoryview(found[number]) for number in range(len(found)))

    def _unpack_or_none(self, packed: Packed) -> Buffer | None:
        try:
            return self.unpack(packed)
        except IntegrityError:
            return None

    def unpack(self, packed: Packed) -> bytes:
        """The plain bytes, proved to be those that `packed.id` names: now, or as `Verified`.

        Raises:
            MalformedError: The payload does not decode.
            DamagedObjectError: It decodes to other bytes.
        """
        plain = self.decode(packed)
        if not isinstance(packed, Verified) and object_id(packed.kind, plain) != packed.id:
            raise DamagedObjectError(
                f"{packed.kind.name.lower()} {packed.id.hex()} holds other bytes"
            )
        return plain

    def verify(self, packed: Packed) -> tuple[Verified, bytes]:
        """Proves `packed` and returns it as `Verified`, with its plain bytes.

        Raises:
            MalformedError, DamagedObjectError: As `unpack`.
        """
        plain = self.unpack(packed)
        return Verified(*packed), plain
