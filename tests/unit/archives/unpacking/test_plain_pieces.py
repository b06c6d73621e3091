"""Streams are decompressed in pieces, from any number of frames, within bounds."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator

import lz4.frame
import pytest
import zstandard

from casync.archives import plain_bytes
from casync.archives.layers import LayerName
from casync.archives.unpacking.plain_pieces import plain_pieces
from casync.errors import MalformedError
from casync.limits import MIB

DATA = os.urandom(700_000) + bytes(3 * MIB) + b"end"
LAYERS: list[tuple[LayerName, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("zstd", lambda data: zstandard.compress(data, 3)),
    ("lz4", lz4.frame.compress),
]
layers = pytest.mark.parametrize(("layer", "compress"), LAYERS)


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def plain(layer: LayerName, stored: bytes, size: int = 100_000) -> bytes:
    pieces = [*plain_pieces(layer, split(stored, size), None)]
    assert all(0 < len(piece) <= 33 * MIB for piece in pieces)
    return b"".join(pieces)


@layers
@pytest.mark.parametrize("size", [1009, 100_000, 1 << 30])
def test_any_number_of_frames_in_any_pieces_is_one_stream(
    layer: LayerName, compress: Callable[[bytes], bytes], size: int
) -> None:
    """A1"""
    assert plain(layer, compress(DATA), size) == DATA
    assert plain(layer, compress(DATA) + compress(b"") + compress(b"more"), size) == DATA + b"more"


@layers
def test_a_stream_that_ends_early_is_malformed(
    layer: LayerName, compress: Callable[[bytes], bytes]
) -> None:
    stored = compress(DATA)
    for end in (0, 5, 1000, len(stored) // 2, len(stored) - 1):
        with pytest.raises(MalformedError, match="ends inside"):
            plain(layer, stored[:end])
    with pytest.raises(MalformedError):
        plain(layer, stored + compress(DATA)[:-1])


@layers
def test_what_follows_a_stream_is_malformed(
    layer: LayerName, compress: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(MalformedError):
        plain(layer, compress(DATA) + b"something else that follows")


def test_gzip_may_be_padded_with_zeros() -> None:
    stored = gzip.compress(DATA) + bytes(200_000)
    assert plain("gzip", stored) == DATA
    assert plain("gzip", stored + gzip.compress(b"more"), 1009) == DATA + b"more"


@layers
def test_a_bomb_is_refused_before_it_is_large(
    layer: LayerName, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_bytes, "FREE_UNPACKED_BYTES", 0)
    monkeypatch.setattr(plain_bytes, "MAX_UNPACKED_RATIO", 20)
    stored = compress(bytes(64 * MIB))
    seen: list[int] = []
    with pytest.raises(MalformedError, match="bomb"):
        seen.extend(len(piece) for piece in plain_pieces(layer, iter([stored]), None))
    assert sum(seen) <= 20 * len(stored) + 33 * MIB


def test_bytes_without_compression_pass_through() -> None:
    assert plain("", DATA) == DATA
