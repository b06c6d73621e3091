"""Content that fits in memory: cut and hashed at once. Safe in any thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from casync.ids import Buffer, ObjectId, chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter, Pieces

__all__ = ["SMALL_BYTES", "Chunks", "cut_small", "named"]

SMALL_BYTES: Final = MIB
"""Bytes up to which a file is small."""

Chunks: TypeAlias = list[tuple[ObjectId, Buffer]]
"""Chunks in order, each with its id."""


def cut_small(data: Buffer, params: ChunkerParams) -> Chunks:
    """Cuts and hashes content that fits in memory. Safe in any thread."""
    if len(data) <= params.min_size:
        return [(chunk_id(data), data)] if data else []
    return [*named(Cutter(params).finish(data))]


def named(pieces: Pieces) -> Iterator[tuple[ObjectId, Buffer]]:
    """The chunks of a piece, each with its id."""
    view = memoryview(pieces.buffer)
    start = 0
    for length in pieces.lengths:
        chunk = view[start : start + length]
        start += length
        yield chunk_id(chunk), chunk
