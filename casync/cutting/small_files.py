"""Small files: read whole, cut and hashed. Safe in any thread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from casync.errors import SourceChangedError
from casync.fs.entries import attributes_of, meta_of
from casync.fs.extents import read_range
from casync.fs.identity import identity_of
from casync.fs.source.file import coarse_clock
from casync.ids import Buffer, ObjectId, chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter, Pieces
from casync.objects.tree import Meta

__all__ = ["SMALL_BYTES", "Chunks", "SmallFile", "cut_small", "named", "read_small"]

SMALL_BYTES: Final = MIB
"""Bytes up to which a file is small."""

_TICK_SECONDS: Final = 0.01
"""The longest tick of a kernel: HZ is 100 or more."""

Chunks: TypeAlias = list[tuple[ObjectId, Buffer]]
"""Chunks in order, each with its id."""


def cut_small(data: bytes, params: ChunkerParams) -> Chunks:
    """Cuts and hashes content that fits in memory. Safe in any thread."""
    if len(data) <= params.min_size:
        return [(chunk_id(data), data)] if data else []
    cutter = Cutter(params)
    return [*named(cutter.feed(data)), *named(cutter.finish())]


def named(pieces: Pieces) -> Iterator[tuple[ObjectId, Buffer]]:
    """The chunks of a piece, each with its id."""
    view = memoryview(pieces.buffer)
    start = 0
    for length in pieces.lengths:
        chunk = view[start : start + length]
        start += length
        yield chunk_id(chunk), chunk


class SmallFile(NamedTuple):
    """A small file: its status before it was read, its metadata and its chunks."""

    status: os.stat_result
    meta: Meta
    chunks: Chunks


def read_small(fd: int, params: ChunkerParams) -> SmallFile:
    """Reads and cuts a small file; retries once if it changes meanwhile.

    Raises:
        SourceChangedError: It changed again.
        OSError: It cannot be read.
    """
    for _ in range(2):
        now = coarse_clock()
        status = os.fstat(fd)
        if status.st_ctime_ns >= now:
            # A later change within the same clock tick would be invisible.
            time.sleep(_TICK_SECONDS)
            status = os.fstat(fd)
        size = status.st_size
        if size > 2 * SMALL_BYTES:
            break
        data = read_range(fd, 0, size + 1)
        meta = meta_of(status, attributes_of(fd))
        if len(data) == size and identity_of(os.fstat(fd)) == identity_of(status):
            return SmallFile(status, meta, cut_small(data, params))
    raise SourceChangedError("it changed while it was read")
