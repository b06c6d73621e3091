"""Moves old chunks of an in-place target to their new offsets.

Only what the plan takes from elsewhere in the target moves. `casync.planning.move_order` finds an
order that reads each piece before its bytes are overwritten. Every chunk is hashed before it is
written; other sources supply those that have changed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from casync.access.progress import Progress
from casync.fs.target.base import Sink
from casync.ids import chunk_ids
from casync.limits import MIB
from casync.objects.node import Record
from casync.planning.move_order import Copy, Drop, Move, Stash, Unstash, order_moves
from casync.planning.portions import Contents, portions
from casync.planning.stretches import Stretch

__all__ = ["STASH_BYTES", "MovedRanges", "Moves", "move"]

STASH_BYTES: Final = 64 * MIB
"""Old bytes that are held in memory while their places are overwritten."""

_TOGETHER_BYTES: Final = 4 * MIB
"""Bytes of moves that are read together before they are written."""


class MovedRanges:
    """Ranges of the target that were moved into place and proved."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts, self._ends = array("Q"), array("Q")
        for start, end in sorted(ranges):
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
            else:
                self._starts.append(start)
                self._ends.append(end)

    def cover(self, start: int, end: int) -> bool:
        """Whether all of a range was moved."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and end <= self._ends[index]


class Moves:
    """Pieces of the target that the plan takes from elsewhere in the target.

    Args:
        stretches: The plan.
        target: The number of the target among the seeds.
        contents: Lists the chunks of the new content in order.
        chunks: Lists them between any two offsets.

    Attributes:
        sources: Where each piece lies.
        targets: Where it belongs, ascending.
        lengths: Its bytes.
        chunks: As given.
    """

    def __init__(
        self,
        stretches: Iterable[Stretch],
        target: int | None,
        contents: Contents,
        chunks: Callable[[int, int], Iterator[tuple[int, Record]]],
    ) -> None:
        self.sources, self.targets = array("Q"), array("Q")
        self.lengths = array("L")
        self.chunks = chunks
        moved = (one for one in stretches if one.origin == target and one.source != one.offset)
        for portion in portions(moved, contents, trusted=None, repeats=False):
            for piece in portion.copies:
                self.sources.append(piece.source)
                self.targets.append(piece.offset)
                self.lengths.append(piece.length)

    def __len__(self) -> int:
        return len(self.sources)

    def steps(self) -> Iterator[Move]:
        """The order in which the pieces move."""
        return order_moves(self.sources, self.targets, self.lengths, STASH_BYTES)

    def served(self) -> MovedRanges:
        """What would be moved, if all chunks are still there."""
        dropped = {step.index for step in self.steps() if isinstance(step, Drop)}
        kept = (index for index in range(len(self)) if index not in dropped)
        return MovedRanges(
            (self.targets[index], self.targets[index] + self.lengths[index]) for index in kept
        )


def move(moves: Moves, sink: Sink, progress: Progress) -> MovedRanges:
    """Moves pieces of a target; returns what is in place afterwards.

    Args:
        moves: The pieces.
        sink: The target.
        progress: Advances by every moved byte.
    """
    progress.start("moving", sum(moves.lengths))
    mover = _Mover(moves, sink)
    for step in moves.steps():
        mover.take(step)
        if not isinstance(step, Stash):
            progress.advance(moves.lengths[step.index])
    mover.flush()
    return MovedRanges(mover.written)


class _Mover:
    """Applies the steps of moving. Batches copies: all are read before the first is written."""

    def __init__(self, moves: Moves, sink: Sink) -> None:
        self.written: list[tuple[int, int]] = []
        self._moves = moves
        self._sink = sink
        self._stashed: dict[int, bytes] = {}
        self._waiting: list[tuple[int, int]] = []  # moves, after the offset that each reads
        self._waiting_bytes = 0

    def take(self, step: Move) -> None:
        """Applies one step, at once or together with later ones."""
        moves, index = self._moves, step.index
        length = moves.lengths[index]
        if isinstance(step, Copy):
            # Another source is the target of an earlier copy, which may still wait.
            if step.source != moves.sources[index] or self._waiting_bytes >= _TOGETHER_BYTES:
                self.flush()
            self._waiting.append((step.source, index))
            self._waiting_bytes += length
        elif isinstance(step, Stash):
            self._stashed[index] = self._sink.read(moves.sources[index], length)
        elif isinstance(step, Unstash):
            self.flush()  # a waiting copy may read the bytes that this overwrites
            self._write(index, self._stashed.pop(index))

    def flush(self) -> None:
        """Applies the waiting copies."""
        lengths, waiting = self._moves.lengths, self._waiting
        self._waiting, self._waiting_bytes = [], 0
        found = [
            (index, self._sink.read(source, lengths[index])) for source, index in sorted(waiting)
        ]
        for index, plain in found:
            self._write(index, plain)

    def _write(self, index: int, plain: bytes) -> None:
        """Writes the chunks of a piece that are right."""
        target = self._moves.targets[index]
        chunks = list(self._moves.chunks(target, target + self._moves.lengths[index]))
        view = memoryview(plain)
        pieces = [view[at - target : at - target + record.length] for at, record in chunks]
        right = [
            ident == record.id for ident, (_, record) in zip(chunk_ids(pieces), chunks, strict=True)
        ]
        if all(right):
            self._sink.write(target, [plain])
            self.written.append((target, target + len(plain)))
            return
        for is_right, piece, (at, record) in zip(right, pieces, chunks, strict=True):
            if is_right:
                self._sink.write(at, [piece])
                self.written.append((at, at + record.length))
