"""Lets an in-place target serve itself: old bytes move to where the new content wants them.

Only the bytes that are wanted elsewhere and not already there move. `casync.moves` finds an order
in which nothing is overwritten before it was read. Every chunk is hashed before it is written; one
that is not what it was is left for the other sources.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from casync.fs.seed import SeedFile, cut_file
from casync.fs.sink import Sink
from casync.ids import ChunkId, chunk_id
from casync.limits import MIB
from casync.moves import Copy, Drop, Stash, order_moves
from casync.ops.outline import Outline
from casync.ops.ports import Ports
from casync.ops.progress import Progress
from casync.ops.seeds import chunks_of, known_outline
from casync.plan import windows
from casync.store.base import Batch

__all__ = ["STASH_BYTES", "move_in_place", "offsets_served"]

STASH_BYTES: Final = 64 * MIB
"""Old bytes held in memory while their place is overwritten."""


_MAX_CHUNKS: Final = 1 << 21
"""Old chunks whose places are known: about 400 MiB, or 32 GiB at the default chunk size. What lies
behind them serves only where it is."""


class _Moves:
    """Chunks of an old file that a new one wants: elsewhere, or (`kept`) right where they are."""

    def __init__(self) -> None:
        self.kept = array("Q")
        self.sources = array("Q")
        self.targets = array("Q")
        self.lengths = array("L")
        self._ids = bytearray()

    def add(self, source: int, target: int, length: int, ident: ChunkId) -> None:
        """Adds one."""
        self.sources.append(source)
        self.targets.append(target)
        self.lengths.append(length)
        self._ids += ident

    def id(self, index: int) -> bytes:
        """The chunk that move `index` carries."""
        return bytes(self._ids[32 * index : 32 * index + 32])


class _Layout:
    """What an old file holds where, by the first 8 bytes of ids: a hint, as in every seed."""

    def __init__(self, chunks: Iterable[tuple[int, ChunkId, int]]) -> None:
        self._offsets = array("Q")
        self._keys = array("Q")
        self._first: dict[int, int] = {}
        for offset, ident, _ in islice(chunks, _MAX_CHUNKS):
            key = int.from_bytes(ident[:8], "little")
            self._offsets.append(offset)
            self._keys.append(key)
            self._first.setdefault(key, offset)

    def find(self, ident: ChunkId, offset: int) -> int | None:
        """Where the chunk is: at `offset` if it is there, too, else at its first place."""
        key = int.from_bytes(ident[:8], "little")
        at = bisect_left(self._offsets, offset)
        if at < len(self._offsets) and self._offsets[at] == offset and self._keys[at] == key:
            return offset
        return self._first.get(key)


def _find_moves(outline: Outline, path: Path, ports: Ports, progress: Progress) -> _Moves:
    """What of the file at `path` the content wants, and where."""
    layout = _Layout(_old_chunks(outline, path, ports, progress))
    moves = _Moves()
    for window in windows(outline.content, outline.node, outline.params.max_size):
        for place in window.places:
            source = layout.find(place.id, place.offset)
            if source == place.offset:
                moves.kept.append(source)
            elif source is not None:
                moves.add(source, place.offset, place.length, place.id)
    return moves


def _old_chunks(
    outline: Outline, path: Path, ports: Ports, progress: Progress
) -> Iterable[tuple[int, ChunkId, int]]:
    row = ports.memory.recall(bytes(path))
    if row is not None:
        known = known_outline(ports.memory, row.manifest)
        with SeedFile(path) as file:
            same = file.identity == row.identity
        if same and known is not None and known.params == outline.params:
            return chunks_of(known)
    progress.start("reading target", None)
    return cut_file(path, outline.params)


def move_in_place(
    outline: Outline, sink: Sink, path: Path, ports: Ports, progress: Progress
) -> None:
    """Moves old bytes of an in-place target to where `outline` wants them."""
    moves = _find_moves(outline, path, ports, progress)
    if ports.lasting:
        # What the store remembers of the file is wrong from the first write on.
        ports.store.commit(Batch(forget=[bytes(path)]))
    progress.start("moving", sum(moves.lengths))
    stashed: dict[int, bytes] = {}
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        index = step.index
        if isinstance(step, Drop):
            continue
        if isinstance(step, Stash):
            stashed[index] = sink.read(moves.sources[index], moves.lengths[index])
            continue
        if isinstance(step, Copy):
            plain = sink.read(step.source, moves.lengths[index])
        else:
            plain = stashed.pop(index)
        if chunk_id(plain) == moves.id(index):
            sink.write(moves.targets[index], [plain])
        progress.advance(moves.lengths[index])


def offsets_served(outline: Outline, path: Path, ports: Ports, progress: Progress) -> set[int]:
    """Where the old bytes of an in-place target would serve the new content, moved or not."""
    moves = _find_moves(outline, path, ports, progress)
    served = set(moves.kept)
    served.update(moves.targets)
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        if isinstance(step, Drop):
            served.discard(moves.targets[step.index])
    return served
