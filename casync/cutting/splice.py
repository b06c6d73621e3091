"""Makes new content out of ranges of an old one and new bytes.

Between two cuts the chunker depends on nothing else, so what lies between the first and the last
cut of a kept range is listed as it was, by whole nodes where they allow. Only new bytes, those
around them, and the nodes on the way down to them are read and written. The content is the one that
cutting all bytes would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from casync.access.content_file import read_range
from casync.access.outline import Outline
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.serial import SerialCutting
from casync.fs.source.base import Hole
from casync.ids import NodeId
from casync.limits import KIB
from casync.objects.chunk_runs import group_records, runs, uniform_run
from casync.objects.kept import Kept
from casync.objects.leaves import LeafCursor
from casync.objects.node import Run
from casync.store.base import ObjectSource

__all__ = ["SplicePart", "splice"]

_STEP_BYTES: Final = 256 * KIB
"""Bytes of a kept range that are cut before looking whether the cuts are the old ones again."""


SplicePart: TypeAlias = Kept | bytes | Hole


def splice(
    old: Outline, source: ObjectSource, pieces: Iterable[SplicePart], chunk_writer: ChunkWriter
) -> None:
    """Writes the content that `pieces` form. Finish `chunk_writer` afterwards.

    Args:
        old: The old content. What is shared is not looked up, so the batch that publishes the new
            manifest must rely on the old one.
        source: Has the chunks of the old content.
        pieces: What the content consists of, in order.
        chunk_writer: Takes the chunks and nodes.

    Raises:
        NoObjectError, IntegrityError: An object of the old content is missing or damaged.
        CasyncError: What the store raises.
    """
    writing = _Splice(old, source, chunk_writer)
    for piece in pieces:
        if isinstance(piece, Kept):
            assert 0 <= piece.start <= piece.end <= old.length
            writing.keep(piece.start, piece.end)
        else:
            writing.feed(piece)
    writing.finish()


class _Splice:
    def __init__(self, old: Outline, source: ObjectSource, chunk_writer: ChunkWriter) -> None:
        self._old = old
        self._source = source
        self._chunk_writer = chunk_writer
        self._cursor = LeafCursor(old.content, old.node)
        self._cutting = SerialCutting(chunk_writer, old.params)
        self._fed = 0  # bytes that were given to `_cutting`

    def feed(self, block: bytes | Hole) -> None:
        """Cuts the next bytes."""
        self._cutting.feed(block)
        self._fed += block.length if isinstance(block, Hole) else len(block)

    def finish(self) -> None:
        """Cuts the last bytes."""
        self._cutting.finish()

    def keep(self, start: int, end: int) -> None:
        """Takes old bytes: cuts them until a cut is an old one, then shares up to the last cut."""
        before = self._fed
        blocks = self._blocks(start, end)
        at = start
        while at < end:
            at = start + self._cutting.position - before
            if start <= at < end and self._is_cut(at):
                self._cutting.stop()
                self._cutting, self._fed = SerialCutting(self._chunk_writer, self._old.params), 0
                shared = _Sharing(self._old, self._chunk_writer, at, end).share()
                for block in self._blocks(shared, end):
                    self.feed(block)
                return
            following = next(blocks, None)
            if following is None:
                return
            self.feed(following)

    def _is_cut(self, offset: int) -> bool:
        leaf = self._cursor.at(offset)
        return leaf.starts[leaf.first(offset)] == offset

    def _blocks(self, start: int, end: int) -> Iterator[bytes | Hole]:
        """Old bytes. Holes are not read."""
        old = self._old
        for offset, run in runs(old.content, old.node, start):
            if offset >= end:
                return
            first, last = max(offset, start), min(offset + run.length * run.times, end)
            if old.is_hole(run.id, run.length):
                yield Hole(last - first)
                continue
            for step in range(first, last, _STEP_BYTES):
                stop = min(step + _STEP_BYTES, last)
                for block in read_range(old, self._source, step, stop, ahead=_STEP_BYTES):
                    yield bytes(block)


class _Sharing:
    """Lists a part of an old content again, from one cut to another.

    Args:
        old: The old content.
        chunk_writer: Takes its chunks and nodes.
        start: The cut where the part begins.
        end: Where it ends at the latest.
    """

    def __init__(self, old: Outline, chunk_writer: ChunkWriter, start: int, end: int) -> None:
        self._old = old
        self._chunk_writer = chunk_writer
        self._at = start
        # The end of the content made its last cut, and closed the last node of each level.
        self._end = min(end, old.length - 1)

    def share(self) -> int:
        """Takes all that it can; returns the cut up to which that is."""
        content = self._old.content
        self._share(content.level, 0, Run(content.id, content.length, 1))
        return self._at

    def _share(self, level: int, offset: int, run: Run) -> None:
        passed = min(max(self._at - offset, 0) // run.length, run.times)
        offset += passed * run.length
        times = run.times - passed
        while times:
            whole = 0
            if offset == self._at:
                whole = min(times, (self._end - offset) // run.length)
            if whole > 0 and self._chunk_writer.is_between(level):
                self._take(level, Run(run.id, run.length, whole))
            elif offset >= self._end or level == 0:
                return
            else:
                whole = self._share_below(level, offset, run, whole)
            offset += whole * run.length
            times -= whole

    def _share_below(self, level: int, offset: int, run: Run, whole: int) -> int:
        """Goes down into a node, or takes the chunks of many alike; returns of how many."""
        records = self._old.node(NodeId(run.id), level, run.length).records
        if whole > 1 and (chunks := uniform_run(level, whole, records, self._old.node)):
            self._take(0, chunks)
            return whole
        for below in group_records(records):
            self._share(level - 1, offset, below)
            offset += below.length * below.times
        return 1

    def _take(self, level: int, run: Run) -> None:
        self._chunk_writer.again(level, run)
        self._at += run.length * run.times
