"""A child process that reads chunks ahead: `python -m casync.training.read_child`.

It reads requests from its standard input and answers on its standard output, in order. What was
asked for goes to memory that it shares with its parent, each chunk proved before. It ends when its
input ends, or an answer has no reader, so it never outlives its parent.

Bytes that cannot be read are answered as none; the parent reads them itself and finds the error.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from casync.access.content_file import read_range
from casync.access.outline import Outline
from casync.cutting.process_memory import keep_freed_memory
from casync.errors import CasyncError
from casync.ids import Buffer, ManifestId
from casync.limits import MAP_BYTES, MIB
from casync.objects.chunker import ChunkerParams
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.store.base import ObjectSource
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.objects import Objects

__all__ = ["ANSWER", "BLOCK_BYTES", "REQUEST", "SLOTS", "BlockRequest", "main"]

BLOCK_BYTES: Final = MIB
"""Bytes of a block: many chunks for one message, few enough to stay in a processor's cache."""

SLOTS: Final = 4
"""Blocks that are asked for at a time: one is being used while the others are read."""

_BATCH_BYTES: Final = 2 * BLOCK_BYTES
"""Plain bytes of chunks that are read together."""

REQUEST: Final = struct.Struct("<32sBQIIIQB")
ANSWER: Final = struct.Struct("<I")


class BlockRequest(NamedTuple):
    """A request for the block of a content that begins at `start`, to be laid into a slot."""

    ident: bytes
    level: int
    length: int
    min_size: int
    avg_size: int
    max_size: int
    start: int
    slot: int

    @property
    def outline_key(self) -> tuple[object, ...]:
        """What names the content and how it was cut."""
        return self[:6]


class _Reading:
    """One content, read onwards from a position."""

    def __init__(self, asked: BlockRequest, store: ObjectSource) -> None:
        content = Content(asked.level, asked.ident, asked.length)
        params = ChunkerParams(asked.min_size, asked.avg_size, asked.max_size)
        outline = Outline(ManifestId(asked.ident), Manifest("file", params, content), store)
        self.key = asked.outline_key
        self.position = asked.start
        self._pieces: Iterator[Buffer] = read_range(
            outline, store, asked.start, asked.length, ahead=_BATCH_BYTES
        )
        self._rest = memoryview(b"")

    def fill(self, block: memoryview) -> int:
        """Fills a block, unless the content ends; returns the bytes."""
        filled = 0
        while filled < len(block):
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            taken = min(len(self._rest), len(block) - filled)
            block[filled : filled + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            filled += taken
        self.position += filled
        return filled


def _serve(store: ObjectSource, shared: memoryview, requests: BinaryIO, answers: int) -> None:
    reading: _Reading | None = None
    while len(data := requests.read(REQUEST.size)) == REQUEST.size:
        asked = BlockRequest(*REQUEST.unpack(data))
        begin = asked.slot * BLOCK_BYTES
        filled = 0
        try:
            if (
                reading is None
                or reading.key != asked.outline_key
                or reading.position != asked.start
            ):
                reading = _Reading(asked, store)
            filled = reading.fill(shared[begin : begin + BLOCK_BYTES])
        except CasyncError:
            reading, filled = None, 0
        os.write(answers, ANSWER.pack(filled))


def main() -> None:
    """Serves the process that started this one.

    The arguments are the folder of a store, and the descriptor of the memory for blocks.
    """
    gc.disable()  # there are no cycles here, and looking for them takes 7 % of the time
    keep_freed_memory()
    folder, descriptor = Path(os.fsdecode(sys.argv[1])), int(sys.argv[2])
    with (
        suppress(BrokenPipeError),  # the parent is gone
        closing(Environment(folder, read_only=True, map_bytes=MAP_BYTES)) as environment,
    ):
        store = Objects(environment.databases, environment.reading)
        os.write(sys.stdout.fileno(), ANSWER.pack(0))  # it has started
        shared = memoryview(mmap.mmap(descriptor, SLOTS * BLOCK_BYTES))
        _serve(store, shared, sys.stdin.buffer, sys.stdout.fileno())


if __name__ == "__main__":
    main()
