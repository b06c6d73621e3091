"""The header of a segment in a bucket (docs/FORMAT.md section 11.2). Records follow it."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.errors import MalformedError, UnsupportedError
from casync.ids import Buffer

__all__ = ["SEGMENT_HEAD_BYTES", "SegmentHead", "decode_segment_head", "encode_segment_head"]

_MAGIC: Final = b"\x8dcasSEG\n"
_FORMAT: Final = 2
_NODES: Final = 1  # the flag of a segment without chunks
_HEAD: Final = struct.Struct("<8sHHI16s16sI12s")  # magic, format, flags, bytes, store, part, zeros
SEGMENT_HEAD_BYTES: Final = _HEAD.size
"""Bytes of a segment before its first record."""


class SegmentHead(NamedTuple):
    """What a segment says about itself.

    Attributes:
        part: Names it.
        store: The UUID of the store.
        size: Its bytes, the header included.
        of_nodes: Whether it holds nodes, manifests and names, instead of chunks.
    """

    part: SessionPart
    store: bytes
    size: int
    of_nodes: bool


def encode_segment_head(head: SegmentHead) -> bytes:
    """The bytes of a header."""
    part = head.part
    flags = _NODES if head.of_nodes else 0
    return _HEAD.pack(
        _MAGIC, _FORMAT, flags, head.size, head.store, part.session, part.number, bytes(12)
    )


def decode_segment_head(data: Buffer) -> SegmentHead:
    """Reads a header.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not the header of a segment in a bucket.
    """
    if len(data) < SEGMENT_HEAD_BYTES:
        raise MalformedError("segment shorter than its header")
    magic, version, flags, size, store, session, number, zeros = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("segment with a wrong magic")
    if version > _FORMAT:
        raise UnsupportedError(f"segment format {version} is newer than {_FORMAT}")
    if version != _FORMAT or flags not in (0, _NODES) or size < SEGMENT_HEAD_BYTES or any(zeros):
        raise MalformedError("segment with an impossible header")
    assert len(session) == SESSION_BYTES
    return SegmentHead(SessionPart(session, number), store, size, bool(flags))
