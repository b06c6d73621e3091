"""The frames of the wire, written from docs/PROTOCOL.md and not from our code."""

from __future__ import annotations

import struct
from itertools import islice
from typing import Any

import zstandard

from casync.objects.codec import Packed

OBJECT, DELTA, MISSING, DAMAGED, BUSY, END = 1, 2, 3, 4, 5, 6


def frame(status: int, payload: bytes = b"", *, codec: int = 0, count: int = 0) -> bytes:
    """One frame, right or wrong."""
    return struct.pack("<BBHI", status, codec, count, len(payload)) + payload


def object_frame(packed: Packed) -> bytes:
    """The frame of an object."""
    return frame(OBJECT, bytes(packed.payload), codec=packed.codec, count=1)


def plain_of(packed: Packed) -> bytes:
    """The plain bytes of a stored object."""
    return zstandard.decompress(packed.payload) if packed.codec else bytes(packed.payload)


def delta_of(plains: list[bytes], bases: list[bytes], **options: Any) -> bytes:
    """The payload of a delta."""
    words = zstandard.ZstdCompressionDict(b"".join(bases), zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=words, **options).compress(b"".join(plains))


def split_frames(body: bytes) -> list[bytes]:
    """The frames of an honest answer."""
    frames, at = [], 0
    while at < len(body):
        end = at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")
        frames.append(body[at:end])
        at = end
    return frames


def read_groups(body: bytes) -> list[tuple[list[bytes], list[bytes]]]:
    """The ids and the bases of each group of a list of ids."""
    flags, count, groups = struct.unpack_from("<HHH", body, 6)
    rows: list[tuple[int, ...]] = [(1, 0)] * count
    if flags:
        rows = list(struct.iter_unpack("<HH", body[12 : 12 + 4 * groups]))
    start = 12 + 4 * groups
    ids = iter([body[at : at + 32] for at in range(start, len(body), 32)])
    wanted = [list(islice(ids, row[0])) for row in rows]
    return [(its, list(islice(ids, row[1]))) for its, row in zip(wanted, rows, strict=True)]
