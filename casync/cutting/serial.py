"""Cutting in this process, block after block: for small inputs, and where children cannot start.

The cuts equal those of `casync.cutting.parallel`, which can continue where this one stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from casync.cutting.chunk_writer import Taker
from casync.fs.source.base import Hole
from casync.ids import Buffer, ObjectId, chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter, Pieces, Zeros

__all__ = ["SerialCutting", "zeros"]

_HELD_BYTES: Final = 4 * MIB
"""Bytes of buffers that are cut before their chunks are looked up."""

_HELD_CHUNKS: Final = 16384
"""The same for chunks, which may be tiny."""


class SerialCutting:
    """Cuts one content from its start. Feed it all blocks in order, then finish.

    Args:
        chunk_writer: Takes the chunks.
        params: Chunk sizes.
        held: Bytes of buffers that are cut before their chunks are looked up.

    Attributes:
        position: The last cut so far.
    """

    def __init__(
        self, chunk_writer: Taker, params: ChunkerParams, *, held: int = _HELD_BYTES
    ) -> None:
        self._chunk_writer = chunk_writer
        self._cutter = Cutter(params)
        self._plain: dict[ObjectId, Buffer] = {}
        self._held = 0
        self._most_held = held
        self.position = 0

    def feed(self, block: bytes | Hole) -> None:
        """Takes the next bytes.

        Raises:
            CasyncError: What the store raises, now or for bytes before.
        """
        if isinstance(block, Hole):
            self._take(self._cutter.feed_zeros(block.length))
        else:
            self._take((self._cutter.feed(block),))

    def finish(self) -> None:
        """Ends the content. Raises as `feed`."""
        self._take((self._cutter.finish(),))
        self.flush()

    def stop(self) -> bytes:
        """Stops early; returns the bytes since the last cut. Raises as `feed`."""
        self.flush()
        return self._cutter.rest

    def flush(self) -> None:
        """Hands over all chunks up to the last cut. Raises as `feed`."""
        plain, self._plain, self._held = self._plain, {}, 0
        reserved = self._chunk_writer.reserve(plain)
        self._chunk_writer.pack({i: plain[i] for i in plain if i in reserved})

    def _take(self, found: Iterable[Pieces | Zeros]) -> None:
        for pieces in found:
            if isinstance(pieces, Zeros):
                ident = self._chunk_writer.take_zeros(pieces)
                self._plain.setdefault(ident, zeros(pieces.length))
                self.position += pieces.length * pieces.times
            else:
                view = memoryview(pieces.buffer)
                chunks: list[tuple[bytes, int]] = []
                start = 0
                for length in pieces.lengths:
                    chunk = view[start : start + length]
                    start += length
                    ident = chunk_id(chunk)
                    chunks.append((ident, length))
                    self._plain[ident] = chunk
                self._chunk_writer.take(chunks)
                self._held += len(view)
                self.position += start
            if self._held >= self._most_held or len(self._plain) >= _HELD_CHUNKS:
                self.flush()


@lru_cache(maxsize=1)
def zeros(length: int) -> bytes:
    """`length` zero bytes."""
    return bytes(length)
