"""Lets an in-place target serve itself: old bytes move to where the new content wants them.

Only the bytes that are wanted elsewhere and not already there move. `casync.planning.move_order`
finds an order in which nothing is overwritten before it was read. Every chunk is hashed before it
is written; one that is not what it was is left for the other sources.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import chain, compress
from pathlib import Path
from typing import Final

from casync.access.outline import Outline
from casync.access.ports import Ports
from casync.access.progress import Progress
from casync.cutting.list_chunks import list_chunks
from casync.fs.seed import SeedFile
from casync.fs.target.base import Sink
from casync.ids import ChunkId, chunk_id
from casync.limits import MIB
from casync.ops.pull.seeds import chunks_of, known_outline
from casync.planning.adjacent import Joiner, read_places
from casync.planning.move_order import Copy, Drop, Move, Stash, Unstash, order_moves
from casync.planning.windows import Place, windows
from casync.store.base import Batch

__all__ = ["STASH_BYTES", "move_in_place", "offsets_served"]

STASH_BYTES: Final = 64 * MIB
"""Old bytes held in memory while their place is overwritten."""


_TOGETHER_BYTES: Final = 4 * MIB
"""Bytes of moves that are read before they are written."""

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


class _OldPlaces:
    """What an old file holds where, by the first 8 bytes of ids: a hint, as in every seed."""

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._keys = array("Q")
        self._first: dict[int, int] = {}

    def note(self, offset: int, ident: ChunkId, length: int) -> bool:
        """Adds a chunk; says whether there is room for more."""
        if len(self._offsets) < _MAX_CHUNKS:
            key = int.from_bytes(ident[:8], "little")
            self._offsets.append(offset)
            self._keys.append(key)
            self._first.setdefault(key, offset)
        return len(self._offsets) < _MAX_CHUNKS

    def find(self, ident: ChunkId, offset: int) -> int | None:
        """Where the chunk is: at `offset` if it is there, too, else at its first place."""
        key = int.from_bytes(ident[:8], "little")
        at = bisect_left(self._offsets, offset)
        if at < len(self._offsets) and self._offsets[at] == offset and self._keys[at] == key:
            return offset
        return self._first.get(key)


def _find_moves(
    outline: Outline, was: Outline | None, path: Path, ports: Ports, progress: Progress
) -> _Moves:
    """What of the file at `path` the content wants, and where."""
    layout = _OldPlaces()
    _note_old_chunks(layout, outline, was, path, ports, progress)
    moves = _Moves()
    for window in windows(outline.content, outline.node, outline.params.max_size):
        for place in window.places:
            source = layout.find(place.id, place.offset)
            if source == place.offset:
                moves.kept.append(source)
            elif source is not None:
                moves.add(source, place.offset, place.length, place.id)
    return moves


def _note_old_chunks(
    layout: _OldPlaces,
    outline: Outline,
    was: Outline | None,
    path: Path,
    ports: Ports,
    progress: Progress,
) -> None:
    row = ports.memory.recall(bytes(path))
    if row is not None:
        with SeedFile(path) as file:
            same = file.identity == row.identity
        if same and was is not None and was.id == row.manifest and was.params == outline.params:
            for chunk in chunks_of(was):
                if not layout.note(*chunk):
                    break
            return
    progress.start("reading target", None)
    list_chunks(path, outline.params, layout.note, progress)


def move_in_place(
    outline: Outline,
    was: Outline | None,
    sink: Sink,
    path: Path,
    ports: Ports,
    progress: Progress,
) -> array[int]:
    """Moves old bytes of an in-place target to where `outline` wants them.

    Args:
        outline: What is wanted.
        was: What the target held when it was last seen, if that is known.
        sink: The target.
        path: Where it is.
        ports: Remember what it held, until it is written to.
        progress: Is told of every byte that moves.

    Returns:
        The offsets, ascending, at which chunks were written. Each was proved on its way.
    """
    moves = _find_moves(outline, was, path, ports, progress)
    if ports.lasting:
        # What the store remembers of the file is wrong from the first write on.
        ports.store.commit(Batch(forget=[bytes(path)]))
    progress.start("moving", sum(moves.lengths))
    mover = _Mover(moves, sink)
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        mover.take(step)
        if not isinstance(step, Stash):
            progress.advance(moves.lengths[step.index])
    mover.flush()
    return array("Q", compress(moves.targets, mover.written))


class _Mover:
    """Takes the steps of moving, many copies at once: all are read before one is written."""

    def __init__(self, moves: _Moves, sink: Sink) -> None:
        self.written = bytearray(len(moves.targets))
        self._moves = moves
        self._sink = sink
        self._stashed: dict[int, bytes] = {}
        self._waiting: dict[int, int] = {}  # moves by where they read
        self._waiting_bytes = 0

    def take(self, step: Move) -> None:
        """Does one step, or does it with the next ones."""
        moves, index = self._moves, step.index
        length = moves.lengths[index]
        if isinstance(step, Copy):
            # Equal sources are what an earlier copy has written, which may still wait.
            if step.source != moves.sources[index] or self._waiting_bytes >= _TOGETHER_BYTES:
                self.flush()
            self._waiting[step.source] = index
            self._waiting_bytes += length
        elif isinstance(step, Stash):
            self._stashed[index] = self._sink.read(moves.sources[index], length)
        elif isinstance(step, Unstash):
            self.flush()  # some that wait may read what this overwrites
            plain = self._stashed.pop(index)
            if chunk_id(plain) == moves.id(index):
                self._sink.write(moves.targets[index], [plain])
                self.written[index] = 1

    def flush(self) -> None:
        """Does what waits."""
        moves, waiting = self._moves, self._waiting
        self._waiting, self._waiting_bytes = {}, 0
        sources = [
            Place(source, ChunkId(moves.id(waiting[source])), moves.lengths[waiting[source]])
            for source in sorted(waiting)
        ]
        found = list(chain.from_iterable(read_places(self._sink.read, sources)))
        proved = {waiting[place.offset]: plain for place, plain in found if plain is not None}
        with Joiner(self._sink.write, lambda _: None) as writer:
            for index in sorted(proved):
                writer.write(moves.targets[index], proved[index])
                self.written[index] = 1


def offsets_served(outline: Outline, path: Path, ports: Ports, progress: Progress) -> set[int]:
    """Where the old bytes of an in-place target would serve the new content, moved or not."""
    row = ports.memory.recall(bytes(path))
    was = known_outline(ports.memory, row.manifest) if row else None
    moves = _find_moves(outline, was, path, ports, progress)
    served = set(moves.kept)
    served.update(moves.targets)
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        if isinstance(step, Drop):
            served.discard(moves.targets[step.index])
    return served
