"""Points of gzip, also when other gzip has replaced its end."""

from __future__ import annotations

import gzip
import random
import zlib
from itertools import pairwise

import pytest

from casync.archives.gzip_points import GZIP_WINDOW, POINT_SPACING, GzipPoints
from casync.archives.layers import open_layer
from casync.archives.unpacking.one_pass import OnePass
from casync.archives.writing.gzip_writer import TGZ_END, gzip_member
from tests.support.archive_bytes import BytesReader

MIB = 1 << 20


def points_of(data: bytes) -> GzipPoints:
    once = OnePass("gzip", BytesReader(data))
    once.measure()
    assert once.points is not None
    return once.points


def test_every_part_of_gzip_that_has_grown_can_be_read() -> None:
    """A4"""
    source = random.Random(1)
    stored, plain = b"", b""
    points = points_of(TGZ_END)
    for size in (9, 1, 13, 1, 1):
        new = source.randbytes(size * MIB // 2) * 2
        tail = b"".join(gzip_member([[new]], 1)) + TGZ_END
        points = points.joined(points_of(tail), len(stored), len(plain))
        stored, plain = stored + tail[: -len(TGZ_END)], plain + new
    whole = BytesReader(stored + TGZ_END)
    length = len(plain) + 1024
    reader = open_layer("gzip", whole, length=length, start_before=points.before)
    ends = [at * MIB for at in (0, 9, 10, 23, 24, 25)]
    for at in [*ends, *(source.randrange(len(plain)) for _ in range(60))]:
        start = max(at - 500, 0)
        assert reader.read(start, 1000) == (plain + bytes(1024))[start : start + 1000]
    assert zlib.crc32(b"".join(reader.blocks(0, length))) == zlib.crc32(plain + bytes(1024))


def test_reading_needs_the_window_of_one_point_and_the_gzip_behind_it() -> None:
    """A2"""
    source = random.Random(2)
    plain = b"".join(source.randbytes(40) + b"some text\n" * 9 for _ in range(200_000))
    data = gzip.compress(plain, 6)
    asked: list[int] = []
    made = list(points_of(data))

    def window(number: int) -> bytes:
        asked.append(number)
        return made[number].window

    points = GzipPoints([start.point for start in made], window)
    for number in (3, 0, len(made) - 2):
        at = made[number].point.plain + 1_000_000
        begin, behind = points.stored_range(at, at + 5000)
        end = len(data) if behind is None else behind
        only = bytes(begin) + data[begin:end] + bytes(len(data) - end)
        reader = open_layer(
            "gzip", BytesReader(only), length=len(plain), start_before=points.before
        )
        assert reader.read(at, 5000) == plain[at : at + 5000]
        assert set(asked) == {number}
        asked.clear()


@pytest.mark.parametrize("size", [9_000, 64 * 1024, 3 * MIB, 5 * MIB])
def test_small_gzip_members_have_a_point_for_some_of_them(size: int) -> None:
    """A2"""
    plain = random.Random(4).randbytes(MIB) * 20
    parts = [plain[at : at + size] for at in range(0, len(plain), size)]
    data = b"".join(gzip.compress(part, 1) for part in parts)
    every = points_of(data)
    assert len(every) >= len(parts)
    thinned = every.thinned()
    places = [start.point.plain for start in thinned]
    assert places[0] == 0
    assert len(places) <= 11
    gaps = [after - before for before, after in pairwise([*places, len(plain)])]
    assert max(gaps) < 2 * POINT_SPACING
    assert set(thinned) <= set(every)
    reader = open_layer("gzip", BytesReader(data), length=len(plain), start_before=thinned.before)
    for at in [*places[1:], len(plain) - 500, 17 * MIB]:
        assert reader.read(at - 500, 1000) == plain[at - 500 : at + 500]


def test_points_lie_apart_and_have_whole_windows() -> None:
    plain = random.Random(3).randbytes(12 * MIB)
    starts = list(points_of(gzip.compress(plain, 1) + gzip.compress(b"more")))
    places = [start.point.plain for start in starts]
    assert places[0] == 0
    assert places[-1] == len(plain)
    for before, after in pairwise(places[:-1]):
        assert POINT_SPACING <= after - before < 2 * POINT_SPACING
    for start in starts:
        at = start.point.plain
        window = plain[at - GZIP_WINDOW : at] if 0 < at < len(plain) else b""
        assert start.window == window
