"""Cutting in child processes: spans go out in turn, and their cuts are joined in order.

This process reads only the seams. Some spans are being cut and others packed at any time, so
children never wait. The cuts equal those of one cutter that reads from the start
(`casync.cutting.seams`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

from casync.cutting.children import SPAN_BYTES, Cutters
from casync.cutting.chunk_writer import RecordTaker
from casync.cutting.seams import join_cuts, zero_chunks
from casync.cutting.serial import zeros
from casync.fs.source.base import Hole, Positioned, Span
from casync.ids import Buffer, ChunkId, ObjectId, chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter, Zeros
from casync.objects.record import ChunkRecords

__all__ = ["cut_in_parallel"]

_LEAST_SPAN: Final = 8
"""Largest chunks that a span must have room for, to be worth its seams."""

_MOST_PIECES: Final = 1024
"""Parts of the content that wait to be joined: very sparse files have many small ones."""

_MOST_WINDOW: Final = 4 * MIB
"""Bytes that are read at once where no cuts coincide."""


def cut_in_parallel(
    source: Positioned,
    cutters: Cutters,
    chunk_writer: RecordTaker,
    params: ChunkerParams,
    position: int = 0,
) -> None:
    """Cuts `source` from `position` on, which must be a cut and the start of its first span.

    Raises:
        CasyncError: What source and store raise; a child died.
    """
    cutting = _ParallelCutting(source, cutters, chunk_writer, params, position)
    for span in source.spans(SPAN_BYTES):
        cutting.feed(span)
    cutting.finish()
    source.compare()


class _Piece(NamedTuple):
    """A part of the content, and its turn if a child cuts it."""

    start: int
    end: int
    hole: bool = False
    turn: int | None = None


class _ParallelCutting:
    """The state of cutting one content: the last true cut, and the spans in progress."""

    def __init__(
        self,
        source: Positioned,
        cutters: Cutters,
        chunk_writer: RecordTaker,
        params: ChunkerParams,
        position: int,
    ) -> None:
        self._source = source
        self._cutters = cutters
        self._chunk_writer = chunk_writer
        self._max_size = params.max_size
        self._seam = _Seam(source, params)
        self._position = position  # the last true cut
        self._fed = position
        self._turns = count()
        self._waiting: deque[_Piece] = deque()
        self._cutting = 0
        self._packing: deque[tuple[int, list[ObjectId], list[int]]] = deque()

    def feed(self, span: Span | Hole) -> None:
        """Takes the next part of the content."""
        if isinstance(span, Hole):
            piece = _Piece(self._fed, self._fed + span.length, hole=True)
        elif span.end - span.start < _LEAST_SPAN * self._max_size:
            piece = _Piece(span.start, span.end)
        else:
            while self._cutting >= self._cutters.room // 2:
                self._join()
            turn = next(self._turns)
            while self._packing and self._packing[0][0] <= turn - self._cutters.room:
                self._fetch()
            piece = _Piece(span.start, span.end, turn=turn)
            reach = min(span.end + self._max_size, span.reach)
            size = reach - span.start
            self._cutters.cut(turn, span.start, size, last=reach == self._source.length)
            self._cutting += 1
        self._fed = piece.end
        self._waiting.append(piece)
        while self._waiting and (not self._cutting or len(self._waiting) > _MOST_PIECES):
            self._join()

    def finish(self) -> None:
        """Ends the content."""
        while self._waiting:
            self._join()
        self._position, _ = join_cuts(self._position, self._fed, (), self._seam.cut)
        self._take(None, [], 0)
        while self._packing:
            self._fetch()

    def _join(self) -> None:
        """Takes the oldest waiting part, up to the last certain cut."""
        piece = self._waiting.popleft()
        chunks: list[tuple[ChunkId, int]] = []
        hole = piece.hole
        if piece.turn is not None:
            self._cutting -= 1
            chunks, hole = self._cutters.found(piece.turn)
        if hole or not chunks:
            end = piece.start if hole else piece.end
            self._position, passed = join_cuts(self._position, end, (), self._seam.cut)
        else:
            lengths = [length for _, length in chunks]
            self._position, passed = join_cuts(self._position, piece.start, lengths, self._seam.cut)
            self._position += sum(lengths[passed:])
        self._take(piece.turn, chunks, passed)
        if hole:
            self._take_zeros(piece.end)
        # Children still read what comes after the piece, even where it is cut already.
        self._source.forget(min(self._position, piece.end))

    def _take(self, turn: int | None, chunks: list[tuple[ChunkId, int]], passed: int) -> None:
        """Takes the chunks that the seam cut, then those of a span after the first `passed`."""
        cut, plain = self._seam.take()
        cut += chunks[passed:]
        if not cut:
            return
        chunk_writer = self._chunk_writer
        chunk_writer.take(cut)
        reserved = chunk_writer.reserve(ident for ident, _ in cut)
        chunk_writer.pack({ident: plain[ident] for ident in plain if ident in reserved})
        reserved.difference_update(plain)
        if not reserved:
            return
        assert turn is not None
        ids: list[ObjectId] = []
        lengths: list[int] = []
        marks = bytearray(len(chunks))
        for number, (ident, length) in enumerate(chunks[passed:], passed):
            if ident in reserved:
                reserved.discard(ident)
                ids.append(ident)
                lengths.append(length)
                marks[number] = 1
        self._cutters.pack(turn, marks)
        self._packing.append((turn, ids, lengths))

    def _take_zeros(self, end: int) -> None:
        times = zero_chunks(self._position, end, self._max_size)
        if times:
            ident = self._chunk_writer.take_zeros(Zeros(self._max_size, times))
            self._position += times * self._max_size
            if self._chunk_writer.reserve([ident]):
                self._chunk_writer.pack({ident: zeros(self._max_size)})

    def _fetch(self) -> None:
        """Takes the records of the oldest span in packing."""
        turn, ids, lengths = self._packing.popleft()
        self._chunk_writer.put(ChunkRecords(ids, lengths, *self._cutters.packed(turn)))


class _Seam:
    """Cuts chunks at given positions, and keeps them until they are taken."""

    def __init__(self, source: Positioned, params: ChunkerParams) -> None:
        self._source = source
        self._params = params
        self._at = -1
        self._window = 0
        self._view = memoryview(b"")
        self._lengths: Iterator[int] = iter(())
        self._chunks: list[tuple[ChunkId, int]] = []
        self._plain: dict[ObjectId, Buffer] = {}

    def cut(self, position: int) -> int:
        """Cuts the chunk that begins at `position`; returns its length in bytes."""
        length = next(self._lengths, 0) if position == self._at else 0
        if not length:
            self._load(position)
            length = next(self._lengths)
        chunk, self._view = self._view[:length], self._view[length:]
        ident = chunk_id(chunk)
        self._chunks.append((ident, length))
        self._plain[ident] = chunk
        self._at = position + length
        return length

    def take(self) -> tuple[list[tuple[ChunkId, int]], dict[ObjectId, Buffer]]:
        """The chunks since the last call as (id, length), and the bytes of each distinct one."""
        taken = self._chunks, self._plain
        self._chunks, self._plain = [], {}
        return taken

    def _load(self, position: int) -> None:
        # Two of the largest chunks hold at least one certain cut. Where cuts do not coincide soon,
        # reading far is cheaper than reading and cutting the overlap again.
        most = 2 * self._params.max_size
        self._window = min(2 * self._window, _MOST_WINDOW) if position == self._at else most
        data = self._source.read(position, self._window)
        cutter = Cutter(self._params)
        lengths = cutter.feed(data).lengths
        if position + len(data) == self._source.length:
            lengths += cutter.finish().lengths
        self._view = memoryview(data)
        self._lengths = iter(lengths)
