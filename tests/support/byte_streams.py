"""Streams and sizes that the chunker's laws are tried on: noise, runs and holes, in any order."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from casync.objects.chunker import ChunkerParams

params = st.sampled_from(
    [
        ChunkerParams(64, 256, 1024),
        ChunkerParams(256, 256, 1024),
        ChunkerParams(100, 1000, 5000),
        ChunkerParams(64, 300, 1024),
        ChunkerParams(1024, 1024, 1024),
        ChunkerParams(500, 1024, 4096),
    ]
)


@st.composite
def streams(draw: st.DrawFn, most: int = 60_000) -> bytes:
    """Up to `most` bytes."""
    parts = b""
    for how, size in draw(
        st.lists(st.tuples(st.sampled_from("nnzr"), st.integers(0, most // 3)), max_size=6)
    ):
        if how == "z":
            parts += bytes(size)
        elif how == "r":
            parts += bytes([draw(st.integers(0, 255))]) * size
        else:
            parts += random.Random(draw(st.integers(0, 2**32))).randbytes(size)
    return parts[:most]
