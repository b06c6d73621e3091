"""Points of gzip, when other gzip has replaced its end."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from casync.archives.gzip_points import joined_points
from casync.archives.layers import open_layer
from casync.archives.unpacking.one_pass import OnePass
from casync.archives.writing.gzip_writer import TGZ_END, gzip_member
from casync.errors import MalformedError
from tests.support.archive_bytes import BytesReader

MIB = 1 << 20


def points_of(data: bytes) -> bytes:
    once = OnePass("gzip", BytesReader(data))
    once.measure()
    return once.points


def test_every_part_of_gzip_that_has_grown_can_be_read() -> None:
    """A4"""
    source = random.Random(1)
    stored, plain = b"", b""
    points = points_of(TGZ_END)
    for size in (9, 1, 13, 1, 1):
        new = source.randbytes(size * MIB // 2) * 2
        tail = b"".join(gzip_member([[new]], 1)) + TGZ_END
        points = joined_points(points, points_of(tail), len(stored), len(plain))
        stored, plain = stored + tail[: -len(TGZ_END)], plain + new
    whole = BytesReader(stored + TGZ_END)
    length = len(plain) + 1024
    reader = open_layer("gzip", whole, length=length, points=points)
    ends = [at * MIB for at in (0, 9, 10, 23, 24, 25)]
    for at in [*ends, *(source.randrange(len(plain)) for _ in range(60))]:
        start = max(at - 500, 0)
        assert reader.read(start, 1000) == (plain + bytes(1024))[start : start + 1000]
    assert zlib.crc32(b"".join(reader.blocks(0, length))) == zlib.crc32(plain + bytes(1024))


def test_what_is_not_points_is_refused() -> None:
    points = points_of(TGZ_END)
    other = bytearray(points)
    struct.pack_into("<I", other, 27, 65536)
    for old, later in (
        (b"", points),
        (points, b"x" * 100),
        (points, points[:40]),
        (points, bytes(other)),
    ):
        with pytest.raises(MalformedError):
            joined_points(old, later, 0, 0)
