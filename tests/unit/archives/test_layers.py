"""Compression around a tar."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from functools import partial

import lz4.frame
import pytest
import zstandard

from casync.archives.format import ByteReader
from casync.archives.layers import LayerName, PlainReader, layer_of, open_layer
from casync.errors import MalformedError, UnreachableError
from tests.support.archive_bytes import BytesReader

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


def test_points_make_reading_the_end_of_gzip_cheap() -> None:
    stored = BytesReader(gzip.compress(PLAIN))
    first = open_layer("gzip", stored)
    assert isinstance(first, PlainReader)
    stored.was_read = 0
    again = open_layer("gzip", stored, length=len(PLAIN), points=first.points)
    assert again.read(len(PLAIN) - 100, 100) == PLAIN[-100:]
    assert stored.was_read < stored.length / 4


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casync.archives.layers.FREE_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(MalformedError, match="bomb"):
        open_layer("gzip", BytesReader(gzip.compress(bytes(50_000_000))))


@pytest.mark.parametrize("layer", LAYERS)
def test_errors_of_the_archive_are_passed_on(layer: LayerName) -> None:
    class Lost(BytesReader):
        def read(self, offset: int, length: int) -> bytes:
            raise UnreachableError("the server is gone")

    lost: ByteReader = Lost(COMPRESS[layer](PLAIN))
    with pytest.raises(UnreachableError):
        open_layer(layer, lost)
