"""Compression around a tar."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from functools import partial

import lz4.frame
import pytest
import zstandard
from indexed_gzip import IndexedGzipFile

from casync.archives.detect import ArchiveKind, detect
from casync.archives.format import IGNORE, ByteReader
from casync.archives.gzip_points import POINT_SPACING, GzipPoints
from casync.archives.layers import LayerName, layer_of, open_layer
from casync.archives.tar import Tar
from casync.archives.unpacking.one_pass import OnePass
from casync.archives.unpacking.opened_stream import open_stream
from casync.errors import MalformedError, UnreachableError
from tests.support.archive_bytes import BytesReader
from tests.support.crafted_archives import ZEROS, tar_of

PLAIN = random.Random(1).randbytes(5_000_000) + b"text " * 2_000_000
COMPRESS: dict[LayerName, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": partial(lz4.frame.compress, content_checksum=True),
}
LAYERS: list[LayerName] = ["gzip", "zstd", "lz4"]


@pytest.mark.parametrize("layer", LAYERS)
def test_plain_bytes_are_read_anywhere(layer: LayerName) -> None:
    stored = BytesReader(COMPRESS[layer](PLAIN))
    assert layer_of(stored.read(0, 8)) == layer
    plain = open_layer(layer, stored)
    assert plain.length == len(PLAIN)
    for offset in (0, 14_999_000, 1_000, 4_999_999, 15_000_000, 20_000_000):
        assert plain.read(offset, 2_000) == PLAIN[offset : offset + 2_000]
    assert b"".join(plain.blocks(3, len(PLAIN) - 3)) == PLAIN[3:-3]


@pytest.mark.parametrize("layer", LAYERS)
def test_parts_that_follow_each_other_are_the_whole(layer: LayerName) -> None:
    whole = COMPRESS[layer](PLAIN[:100_000]) + COMPRESS[layer](PLAIN[100_000:300_000])
    plain = open_layer(layer, BytesReader(whole))
    assert b"".join(plain.blocks(0, plain.length)) == PLAIN[:300_000]


@pytest.mark.parametrize("layer", LAYERS)
def test_damaged_bytes_are_malformed(layer: LayerName) -> None:
    data = bytearray(COMPRESS[layer](PLAIN))
    data[len(data) // 3] ^= 255
    with pytest.raises(MalformedError):
        open_layer(layer, BytesReader(bytes(data)))
    with pytest.raises(MalformedError):
        OnePass(layer, BytesReader(bytes(data))).measure()


def test_points_make_reading_the_end_of_gzip_cheap() -> None:
    """A2"""
    stored = BytesReader(gzip.compress(PLAIN))
    once = OnePass("gzip", stored)
    once.measure()
    assert once.length == len(PLAIN)
    stored.was_read = 0
    assert once.points is not None
    again = open_layer("gzip", stored, length=len(PLAIN), start_before=once.points.before)
    assert again.read(len(PLAIN) - 100, 100) == PLAIN[-100:]
    assert stored.was_read < stored.length / 4


@pytest.mark.parametrize("layer", LAYERS)
def test_members_length_and_points_come_of_one_pass(layer: LayerName) -> None:
    """A2"""
    tar = tar_of("first", PLAIN) + tar_of("../out") + tar_of("last") + ZEROS
    stored = BytesReader(COMPRESS[layer](tar))
    advanced: list[int] = []
    refused: list[bytes] = []
    once = OnePass(layer, stored, advanced.append)
    found = [*once.members(ArchiveKind("tar", layer), refused.append)]
    assert [one.path for one in found] == [b"first", b"last"]
    assert found == [*Tar().scan(BytesReader(tar))]
    assert refused == [b"../out"]
    assert (once.length, sum(advanced)) == (len(tar), stored.length)
    assert bool(once.points) == (layer == "gzip")
    assert stored.was_read == stored.length


def test_points_of_one_pass_are_those_of_the_library() -> None:
    """A2"""
    data = gzip.compress(PLAIN) + gzip.compress(b"more")
    once = OnePass("gzip", BytesReader(data))
    once.measure()
    made = IndexedGzipFile(fileobj=io.BytesIO(data), spacing=POINT_SPACING)
    made.build_full_index()
    exported = io.BytesIO()
    made.export_index(fileobj=exported)
    assert once.points is not None
    assert list(once.points) == list(GzipPoints.of_file(exported.getvalue()))
    assert len(once.points) >= 4


@pytest.mark.parametrize("end", [-8, -1], ids=["checksum", "length"])
def test_a_wrong_checksum_at_the_end_of_gzip_is_told(end: int) -> None:
    """A6"""
    data = bytearray(gzip.compress(tar_of("a") + ZEROS))
    data[end] ^= 1
    stored = BytesReader(bytes(data))
    kind = detect(stored, "a.tgz")
    assert kind == ArchiveKind("tar", "gzip")
    with pytest.raises(MalformedError, match="the checksum of the gzip data is wrong"):
        [*OnePass("gzip", stored).members(kind, IGNORE)]
    with pytest.raises(MalformedError, match="the checksum of the gzip data is wrong"):
        open_stream(iter([bytes(data)]), "a.tgz", len(data))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casync.archives.plain_bytes.FREE_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(MalformedError, match="bomb"):
        OnePass("gzip", BytesReader(gzip.compress(bytes(50_000_000)))).measure()


@pytest.mark.parametrize("layer", LAYERS)
def test_errors_of_the_archive_are_passed_on(layer: LayerName) -> None:
    class Lost(BytesReader):
        def read(self, offset: int, length: int) -> bytes:
            raise UnreachableError("the server is gone")

    lost: ByteReader = Lost(COMPRESS[layer](PLAIN))
    with pytest.raises(UnreachableError):
        open_layer(layer, lost)
    with pytest.raises(UnreachableError):
        OnePass(layer, lost).measure()


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_a_signal_while_gzip_is_read_is_passed_on(signal: type[BaseException]) -> None:
    data = gzip.compress(PLAIN)
    once = OnePass("gzip", BytesReader(data))
    once.measure()

    class Stopped(BytesReader):
        def read(self, offset: int, length: int) -> bytes:
            raise signal

    assert once.points is not None
    before = once.points.before
    plain = open_layer("gzip", Stopped(data), length=once.length, start_before=before)
    with pytest.raises(signal):
        plain.read(10_000_000, 100)
