"""Law: the parts of an index of members are read, or an error of ours, whatever is in them.

Frames have checksums, so bytes that were changed are drawn inside of them.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec
import zstandard
from hypothesis import given

from casync.archives.detect import ArchiveKind
from casync.archives.gzip_points import GZIP_WINDOW, GzipPoint, GzipPoints
from casync.archives.index import MemberIndex
from casync.archives.index_layout import (
    INDEX_FOOT,
    INDEX_MAGIC,
    INDEX_VERSION,
    NONE_REFUSED,
    BlockPlace,
    LongTail,
    PointPlace,
    RefusedNames,
)
from casync.archives.index_writing import encode_index
from casync.archives.member import Member, MemberKind
from casync.errors import MalformedError
from tests.property.test_garbage_is_refused import lies
from tests.support.archive_bytes import BytesReader

TGZ = ArchiveKind("tar", "gzip")
MEMBERS = [Member(b"a", MemberKind.FILE, 0, 512, 9, 9)]
LENGTH = 9_000_000
POINTS = [GzipPoint(10, 0, 0), GzipPoint(90, 5_000_000, 1)]
WINDOWS = [b"", b"w" * GZIP_WINDOW]
REFUSED = RefusedNames(1, (b"../b",))
INDEX = b"".join(
    encode_index(MEMBERS, TGZ, LENGTH, GzipPoints(POINTS, WINDOWS.__getitem__), REFUSED)
)


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


WINDOW = frame(WINDOWS[1])
PLACES = [PointPlace(10, 0, 0, 0, 0), PointPlace(90, 5_000_000, 1, 0, len(WINDOW))]
TABLE = msgspec.msgpack.encode(PLACES)
BLOCK = msgspec.msgpack.encode(MEMBERS)
TAIL = msgspec.msgpack.encode(
    LongTail(
        INDEX_VERSION, "tar", "gzip", LENGTH, 1, (0, 9), [BlockPlace(b"a", 9, 9)], refused=REFUSED
    )
)


def read(data: bytes) -> tuple[list[Member], list[object]]:
    index = MemberIndex(BytesReader(data))
    assert index.refused.number >= 0
    index.find(b"a")
    points = index.points()
    if points is not None:
        points.before(5_000_001)
        points.stored_range(70, 5_000_001)
    return [*index.members()], [*(points or ())]


def index_of(block: bytes, table: bytes, tail: bytes = b"") -> bytes:
    """An index with a tail that is right, if none is given."""
    places = (len(WINDOW) + len(block), len(table)), [BlockPlace(b"a", len(WINDOW), len(block))]
    right = LongTail(INDEX_VERSION, "tar", "gzip", LENGTH, 1, *places, refused=NONE_REFUSED)
    end = frame(tail or msgspec.msgpack.encode(right))
    return WINDOW + block + table + end + INDEX_FOOT.pack(len(end), INDEX_MAGIC)


def test_valid_parts_are_read() -> None:
    """Otherwise the laws would test nothing."""
    right = MEMBERS, [(POINTS[0], b""), (POINTS[1], WINDOWS[1])]
    assert read(INDEX) == read(index_of(frame(BLOCK), frame(TABLE))) == right


@given(lies(INDEX))
def test_indexes(data: bytes) -> None:
    with suppress(MalformedError):
        read(data)


@given(lies(BLOCK))
def test_blocks(data: bytes) -> None:
    with suppress(MalformedError):
        read(index_of(frame(data), frame(TABLE)))


@given(lies(TABLE))
def test_points(data: bytes) -> None:
    with suppress(MalformedError):
        read(index_of(frame(BLOCK), frame(data)))


@given(lies(TAIL))
def test_tails(data: bytes) -> None:
    with suppress(MalformedError):
        read(index_of(frame(BLOCK), frame(TABLE), data or b"\0"))
