"""Portions: stretches of a plan in pieces that fit in memory, with the chunks that they consist of.

A target is worked through from its start in portions. A portion holds few enough chunks for one
request and few enough bytes for a worker's memory, whatever the length of the target.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from casync.ids import ChunkId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.chunk_runs import FindNode
from casync.objects.leaves import LeafCursor, LoadNodes
from casync.objects.node import Content, Record
from casync.planning.delta_groups import Anchor, MissingRun
from casync.planning.stretches import REPEAT, STILL_ZERO, WANTED, ZERO, Stretch
from casync.planning.windows import Place

__all__ = ["PORTION_BYTES", "Contents", "CopyPiece", "Portion", "end_to_end", "portions"]

PORTION_BYTES: Final = 16 * MIB
"""Plain bytes of one portion that must be moved, unless a single chunk is larger."""

_COPY_BYTES: Final = MIB
"""Bytes that are read at once, unless a single chunk is larger."""

_MAX_COPIED: Final = 1 << 14
"""Chunks of one portion that are copied."""


class CopyPiece(msgspec.Struct, gc=False):
    """Adjacent chunks that lie end to end elsewhere, in the same order.

    Attributes:
        offset: Where the first one belongs in the target.
        seed: The number of the seed that has them; or `REPEAT`.
        source: Where the first one lies there.
        records: The chunks.
        length: Their bytes.
    """

    offset: int
    seed: int
    source: int
    records: list[Record]
    length: int

    @property
    def places(self) -> Iterator[Place]:
        """Where each chunk belongs."""
        offset = self.offset
        for ident, length in self.records:
            yield Place(offset, ChunkId(ident), length)
            offset += length

    def goes_on(self, other: CopyPiece) -> bool:
        """Whether `other` follows in the target and in the same seed."""
        end = (self.seed, self.source + self.length, self.offset + self.length)
        return (other.seed, other.source, other.offset) == end

    def only(self, offsets: Container[int]) -> list[CopyPiece]:
        """The parts of it whose chunks belong at certain offsets."""
        parts: list[CopyPiece] = []
        part: CopyPiece | None = None
        for place in self.places:
            if place.offset not in offsets:
                part = None
                continue
            record = Record(place.id, place.length)
            if part is None:
                source = self.source + place.offset - self.offset
                part = CopyPiece(place.offset, self.seed, source, [record], place.length)
                parts.append(part)
            else:
                part.records.append(record)
                part.length += place.length
        return parts


def end_to_end(pieces: Iterable[CopyPiece]) -> Iterator[list[CopyPiece]]:
    """Groups pieces that lie end to end, in the target and in one seed."""
    together: list[CopyPiece] = []
    for piece in pieces:
        if together and not together[-1].goes_on(piece):
            yield together
            together = []
        together.append(piece)
    if together:
        yield together


@dataclass(slots=True)
class Portion:
    """A piece of the target.

    Attributes:
        number: Counts the portions of a target from 0.
        start: Its first byte.
        end: The byte after its last one.
        zeros: Ranges (offset, length) of zeros.
        kept: Bytes that stay without a look at them.
        kept_zeros: Zeros that do.
        copies: Chunks of seeds.
        repeats: Chunks of earlier places of the target.
        missing: Chunks that neither have.
    """

    number: int
    start: int
    end: int
    zeros: list[tuple[int, int]] = field(default_factory=list)
    kept: int = 0
    kept_zeros: int = 0
    copies: list[CopyPiece] = field(default_factory=list)
    repeats: list[CopyPiece] = field(default_factory=list)
    missing: list[MissingRun] = field(default_factory=list)

    @property
    def copied_chunks(self) -> int:
        """Chunks of seeds and repeats."""
        return sum(len(piece.records) for piece in (*self.copies, *self.repeats))

    @property
    def wanted(self) -> Iterator[Place]:
        """The missing chunks."""
        for run in self.missing:
            yield from run.places


class Contents:
    """Contents end to end, whose chunks are listed by ascending offset.

    Args:
        find: Finds their nodes.
        max_size: Bytes of the chunks that holes are cut into.
        load: As of `LeafCursor`.

    Attributes:
        hole: The record of such a chunk.
    """

    def __init__(self, find: FindNode, max_size: int, load: LoadNodes | None = None) -> None:
        self.hole = Record(zero_chunk_id(max_size), max_size)
        self._find = find
        self._load = load
        self._ahead: deque[tuple[int, LeafCursor]] = deque()

    def add(self, start: int, content: Content) -> None:
        """Appends a content that is not empty."""
        self._ahead.append((start, LeafCursor(content, self._find, self._load)))

    def listed(self, contents: Iterable[tuple[int, Content]]) -> Iterator[tuple[int, Content]]:
        """Passes contents on, and appends each."""
        for start, content in contents:
            if content.length:
                self.add(start, content)
            yield start, content

    def records(self, offset: int, end: int, room: int) -> tuple[list[Record], int]:
        """Adjacent chunks of one node from an offset on, and their bytes.

        Args:
            offset: Where a chunk begins; not before that of an earlier call.
            end: Where a chunk ends.
            room: Bytes, beyond which only the first chunk may go.
        """
        start, cursor = self._ahead[0]
        while start + cursor.content.length <= offset:
            self._ahead.popleft()
            start, cursor = self._ahead[0]
        leaf = cursor.at(offset - start)
        first = leaf.first(offset - start)
        limit = min(end - start, offset - start + room)
        last = len(leaf.starts)
        if leaf.end > limit:
            last = max(bisect_right(leaf.starts, limit, first + 1) - 1, first + 1)
        finish = leaf.starts[last] if last < len(leaf.starts) else leaf.end
        return leaf.records[first:last], finish - (offset - start)


def portions(
    stretches: Iterable[Stretch], contents: Contents, *, trusted: int | None, repeats: bool
) -> Iterator[Portion]:
    """Divides a plan into portions that tile it, in order.

    Args:
        stretches: The plan.
        contents: Lists the chunks of the target.
        trusted: The number of the seed whose chunks stay in place without a look at them.
        repeats: Whether repeats are written.
    """
    cutter = _Cutter(contents, trusted, repeats=repeats)
    waiting: Stretch | None = None  # a wanted one needs what follows it
    for stretch in stretches:
        if waiting is not None:
            yield from cutter.take(waiting, stretch)
        waiting = stretch
    if waiting is not None:
        yield from cutter.take(waiting, None)
    yield cutter.portion


class _Cutter:
    def __init__(self, contents: Contents, trusted: int | None, *, repeats: bool) -> None:
        self.portion = Portion(0, 0, 0)
        self._contents = contents
        self._trusted = trusted
        self._repeats = repeats
        self._left: Anchor | None = None
        self._bytes = self._copied = self._wanted = 0

    def take(self, stretch: Stretch, after: Stretch | None) -> Iterator[Portion]:
        """Adds a stretch; yields the portions that are full."""
        end = stretch.offset + stretch.length
        if stretch.origin == WANTED:
            right = Anchor(after.origin, after.source, end) if after and after.origin >= 0 else None
            yield from self._add_missing(stretch, right)
        elif stretch.origin == STILL_ZERO and self._trusted is not None:
            self.portion.kept_zeros += stretch.length
        elif stretch.origin in {ZERO, STILL_ZERO}:
            self.portion.zeros.append((stretch.offset, stretch.length))
        elif stretch.origin == REPEAT:
            if self._repeats:
                yield from self._add_copies(stretch, REPEAT)
        else:
            self._left = Anchor(stretch.origin, stretch.source + stretch.length, end)
            if stretch.origin == self._trusted and stretch.source == stretch.offset:
                self.portion.kept += stretch.length
            else:
                yield from self._add_copies(stretch, stretch.origin)
        self.portion.end = end

    def _add_copies(self, stretch: Stretch, seed: int) -> Iterator[Portion]:
        offset, end = stretch.offset, stretch.offset + stretch.length
        shift = stretch.source - stretch.offset
        piece: CopyPiece | None = None
        while offset < end:
            taken = piece.length if piece is not None else 0
            room = min(_COPY_BYTES - taken, PORTION_BYTES - self._bytes)
            records, length = self._contents.records(offset, end, room)
            if self._contents.hole in records:  # a hole stays a hole
                self._add_split(CopyPiece(offset, seed, offset + shift, records, length))
                piece = None
            elif piece is not None and length <= room:
                piece.records += records
                piece.length += length
            else:
                piece = CopyPiece(offset, seed, offset + shift, records, length)
                self._add_piece(piece)
            offset += length
            self._bytes += length
            self._copied += len(records)
            if self._bytes >= PORTION_BYTES or self._copied >= _MAX_COPIED:
                yield self._full(offset)
                piece = None
            elif piece is not None and piece.length >= _COPY_BYTES:
                piece = None

    def _add_piece(self, piece: CopyPiece) -> None:
        (self.portion.repeats if piece.seed == REPEAT else self.portion.copies).append(piece)

    def _add_split(self, piece: CopyPiece) -> None:
        """Adds a piece that has holes."""
        hole = self._contents.hole
        holes = {place.offset for place in piece.places if (place.id, place.length) == hole}
        self.portion.zeros += [(offset, hole.length) for offset in sorted(holes)]
        for part in piece.only({place.offset for place in piece.places} - holes):
            self._add_piece(part)

    def _add_missing(self, stretch: Stretch, right: Anchor | None) -> Iterator[Portion]:
        offset, end = stretch.offset, stretch.offset + stretch.length
        places: list[Place] = []
        self.portion.missing.append(MissingRun(places, self._left, right))
        while offset < end:
            room = PORTION_BYTES - self._bytes
            records, _ = self._contents.records(offset, end, room)
            for ident, length in records[: MAX_BATCH_IDS - self._wanted]:
                places.append(Place(offset, ChunkId(ident), length))
                offset += length
                self._bytes += length
                self._wanted += 1
            if self._bytes >= PORTION_BYTES or self._wanted >= MAX_BATCH_IDS:
                yield self._full(offset)
                if offset < end:
                    places = []
                    self.portion.missing.append(MissingRun(places, self._left, right))

    def _full(self, end: int) -> Portion:
        """Closes the portion."""
        portion = self.portion
        portion.end = end
        self.portion = Portion(portion.number + 1, end, end)
        self._bytes = self._copied = self._wanted = 0
        return portion
