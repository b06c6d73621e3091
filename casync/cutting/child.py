"""A child process that cuts, hashes and packs spans: `python -m casync.cutting.child`.

It reads commands from its standard input and answers on its standard output, in order. Results go
to memory that it shares with its parent. Bytes are read once: the hashed bytes are the packed ones.
It ends when its input ends, or an answer has no reader, so it never outlives its parent. Each child
loads this module, so it imports little.

A span that cannot be read is answered as one without chunks; the parent reads it again and finds
the error.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import sys
from contextlib import suppress
from itertools import compress
from typing import BinaryIO, Final, NamedTuple

from casync.cutting.process_memory import keep_freed_memory
from casync.ids import Buffer, ChunkId, chunk_id
from casync.limits import KIB, MIB
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.codec import Packer
from casync.objects.record import record_parts

__all__ = [
    "ANSWER",
    "CHUNK",
    "COMMAND",
    "MAX_AHEAD",
    "SIZE",
    "SLOTS",
    "SLOT_BYTES",
    "SPAN_BYTES",
    "ChildAnswer",
    "Command",
    "CutterWorker",
    "Do",
    "main",
]

SPAN_BYTES: Final = 4 * MIB
"""Bytes of a span, not counting those read beyond its end. Longer spans have fewer seams."""

MAX_AHEAD: Final = 512 * KIB
"""Bytes that may be read beyond a span: the largest chunks that children are worth starting for."""

SLOTS: Final = 4
"""Spans that a child holds: two to cut and two to pack, so it never waits."""

SLOT_BYTES: Final = 3 * SPAN_BYTES
"""Bytes of shared memory for a span: a line and a record for each chunk, however small they are."""

COMMAND: Final = struct.Struct("<BB?xIQ")
ANSWER: Final = struct.Struct("<I?3x")
CHUNK: Final = struct.Struct("<32sI")  # id, length
SIZE: Final = struct.Struct("<I")  # bytes of a record


class Do:
    """The kinds of command."""

    CUT: Final = 1
    """Read `size` bytes at `offset` into the slot, cut and hash them; write a CHUNK for each."""

    PACK: Final = 2
    """`size` bytes follow, one for each chunk in the slot: 1 to pack it, else 0. Write a SIZE for
    each packed chunk, then the records."""


class Command(NamedTuple):
    """A command for a child. `last`: the content ends with the bytes to be cut."""

    do: int
    slot: int
    last: bool
    size: int
    offset: int


class ChildAnswer(NamedTuple):
    """A child's answer: the number of lines that it wrote, and whether the span is all zeros."""

    chunks: int
    zeros: bool


class _Slot:
    """A span's bytes and its chunks."""

    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)
        self.chunks: list[tuple[ChunkId, Buffer]] = []


class CutterWorker:
    """Cuts and packs spans of one content.

    Args:
        content: Descriptor of the content; read by position.
        shared: Descriptor of the memory for results.
        params: Chunk sizes.
        level: zstd level.
    """

    def __init__(self, content: int, shared: int, params: ChunkerParams, level: int) -> None:
        self._content = content
        self._shared = mmap.mmap(shared, SLOTS * SLOT_BYTES)
        self._params = params
        self._packer = Packer(level)
        size = SPAN_BYTES + params.max_size
        self._zeros = memoryview(bytes(size))
        self._slots = [_Slot(size) for _ in range(SLOTS)]

    def serve(self, commands: BinaryIO, answers: int) -> None:
        """Runs commands until the input ends."""
        while len(data := commands.read(COMMAND.size)) == COMMAND.size:
            command = Command(*COMMAND.unpack(data))
            if command.do == Do.CUT:
                answer = self.cut(command)
            else:
                answer = self.pack(command.slot, commands.read(command.size))
            os.write(answers, ANSWER.pack(*answer))

    def cut(self, command: Command) -> ChildAnswer:
        """Cuts a span as if it began at a cut. The chunks returned are certain, given that."""
        slot = self._slots[command.slot]
        slot.chunks = []
        view = slot.view[: command.size]
        if not self._read(view, command.offset):
            return ChildAnswer(0, False)
        if slot.buffer.startswith(self._zeros[: command.size]):
            return ChildAnswer(0, True)
        cutter = Cutter(self._params)
        lengths = cutter.feed(view).lengths
        if command.last:
            lengths += cutter.finish().lengths
        start = 0
        for length in lengths:
            chunk = view[start : start + length]
            slot.chunks.append((chunk_id(chunk), chunk))
            start += length
        lines = b"".join([CHUNK.pack(ident, len(chunk)) for ident, chunk in slot.chunks])
        self._put(command.slot, [lines])
        return ChildAnswer(len(slot.chunks), False)

    def pack(self, number: int, chosen: bytes) -> ChildAnswer:
        """Packs the chunks of a slot whose byte in `chosen` is not 0."""
        slot = self._slots[number]
        chunks = list(compress(slot.chunks, chosen))
        sizes, parts = record_parts(self._packer, chunks)
        self._put(number, [b"".join(map(SIZE.pack, sizes)), *parts])
        return ChildAnswer(len(chunks), False)

    def _put(self, slot: int, parts: list[Buffer]) -> None:
        self._shared.seek(slot * SLOT_BYTES)
        for part in parts:
            self._shared.write(part)

    def _read(self, view: memoryview, offset: int) -> bool:
        try:
            while view:
                count = os.preadv(self._content, [view], offset)
                if not count:
                    return False
                view, offset = view[count:], offset + count
        except OSError:
            return False
        return True


def main() -> None:
    """Serves the process that started this one; the arguments are those of `CutterWorker`."""
    gc.disable()  # there are no cycles here, and looking for them takes 3 % of the time
    keep_freed_memory()
    content, shared, min_size, avg_size, max_size, level = map(int, sys.argv[1:])
    worker = CutterWorker(content, shared, ChunkerParams(min_size, avg_size, max_size), level)
    with suppress(BrokenPipeError):  # the parent is gone
        worker.serve(sys.stdin.buffer, sys.stdout.fileno())


if __name__ == "__main__":
    main()
