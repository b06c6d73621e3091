"""Moves old chunks of an in-place target to their new offsets.

Only chunks that the new content has at other offsets move. `casync.planning.move_order` finds an
order that reads each chunk before its bytes are overwritten. Every chunk is hashed before it is
written; other sources supply those that changed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import chain, compress
from pathlib import Path
from typing import Final

from casync.access.endpoints import Endpoints
from casync.access.outline import Outline
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
"""Old bytes that are held in memory while their places are overwritten."""


_TOGETHER_BYTES: Final = 4 * MIB
"""Bytes of moves that are read together before they are written."""

_MAX_CHUNKS: Final = 1 << 21
"""Old chunks in the index: about 400 MiB of memory, 32 GiB of content at the default chunk size.
Chunks beyond them do not move."""


class _Moves:
    """Old chunks with other offsets in the new content; `kept` has the offsets of the others."""

    def __init__(self) -> None:
        self.kept = array("Q")
        self.sources = array("Q")
        self.targets = array("Q")
        self.lengths = array("L")
        self._ids = bytearray()

    def add(self, source: int, target: int, length: int, ident: ChunkId) -> None:
        """Adds a move."""
        self.sources.append(source)
        self.targets.append(target)
        self.lengths.append(length)
        self._ids += ident

    def id(self, index: int) -> bytes:
        """The chunk that move `index` carries."""
        return bytes(self._ids[32 * index : 32 * index + 32])


class _OldPlaces:
    """The offsets of the chunks of an old file, by the first 8 bytes of their ids.

    They are hints, as in every seed: a chunk is proved when it is read.
    """

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._keys = array("Q")
        self._first: dict[int, int] = {}

    def note(self, offset: int, ident: ChunkId, length: int) -> bool:
        """Adds a chunk; returns whether there is room for more."""
        if len(self._offsets) < _MAX_CHUNKS:
            key = int.from_bytes(ident[:8], "little")
            self._offsets.append(offset)
            self._keys.append(key)
            self._first.setdefault(key, offset)
        return len(self._offsets) < _MAX_CHUNKS

    def find(self, ident: ChunkId, offset: int) -> int | None:
        """An offset of the chunk: `offset` if it is there, else its first one, None if unknown."""
        key = int.from_bytes(ident[:8], "little")
        at = bisect_left(self._offsets, offset)
        if at < len(self._offsets) and self._offsets[at] == offset and self._keys[at] == key:
            return offset
        return self._first.get(key)


def _find_moves(
    outline: Outline, was: Outline | None, path: Path, endpoints: Endpoints, progress: Progress
) -> _Moves:
    """The chunks of the file at `path` that the content has, and where they must move."""
    old_places = _OldPlaces()
    _note_old_chunks(old_places, outline, was, path, endpoints, progress)
    moves = _Moves()
    for window in windows(outline.content, outline.node, outline.params.max_size):
        for place in window.places:
            source = old_places.find(place.id, place.offset)
            if source == place.offset:
                moves.kept.append(source)
            elif source is not None:
                moves.add(source, place.offset, place.length, place.id)
    return moves


def _note_old_chunks(
    old_places: _OldPlaces,
    outline: Outline,
    was: Outline | None,
    path: Path,
    endpoints: Endpoints,
    progress: Progress,
) -> None:
    row = endpoints.memory.recall(bytes(path))
    if row is not None:
        with SeedFile(path) as file:
            same = file.identity == row.identity
        if same and was is not None and was.id == row.manifest and was.params == outline.params:
            for chunk in chunks_of(was):
                if not old_places.note(*chunk):
                    break
            return
    progress.start("reading target", None)
    list_chunks(path, outline.params, old_places.note, progress)


def move_in_place(
    outline: Outline,
    was: Outline | None,
    sink: Sink,
    path: Path,
    endpoints: Endpoints,
    progress: Progress,
) -> array[int]:
    """Moves old chunks of an in-place target to their offsets in `outline`.

    Args:
        outline: The new content.
        was: The content of the target when it was last seen, if known.
        sink: The target.
        path: Its path.
        endpoints: The store whose row of the old file is removed before the first write.
        progress: Advances by every moved byte.

    Returns:
        The offsets at which chunks were written, ascending. Each chunk was proved before.
    """
    moves = _find_moves(outline, was, path, endpoints, progress)
    if endpoints.lasting:
        # The remembered content is wrong from the first write on.
        endpoints.store.commit(Batch(forget=[bytes(path)]))
    progress.start("moving", sum(moves.lengths))
    mover = _Mover(moves, sink)
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        mover.take(step)
        if not isinstance(step, Stash):
            progress.advance(moves.lengths[step.index])
    mover.flush()
    return array("Q", compress(moves.targets, mover.written))


class _Mover:
    """Applies the steps of moving. Batches copies: all are read before the first is written."""

    def __init__(self, moves: _Moves, sink: Sink) -> None:
        self.written = bytearray(len(moves.targets))
        self._moves = moves
        self._sink = sink
        self._stashed: dict[int, bytes] = {}
        self._waiting: dict[int, int] = {}  # moves by the offset that they read
        self._waiting_bytes = 0

    def take(self, step: Move) -> None:
        """Applies one step, at once or together with later ones."""
        moves, index = self._moves, step.index
        length = moves.lengths[index]
        if isinstance(step, Copy):
            # Another source is the target of an earlier copy, which may still wait.
            if step.source != moves.sources[index] or self._waiting_bytes >= _TOGETHER_BYTES:
                self.flush()
            self._waiting[step.source] = index
            self._waiting_bytes += length
        elif isinstance(step, Stash):
            self._stashed[index] = self._sink.read(moves.sources[index], length)
        elif isinstance(step, Unstash):
            self.flush()  # a waiting copy may read the bytes that this overwrites
            plain = self._stashed.pop(index)
            if chunk_id(plain) == moves.id(index):
                self._sink.write(moves.targets[index], [plain])
                self.written[index] = 1

    def flush(self) -> None:
        """Applies the waiting copies."""
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


def offsets_served(
    outline: Outline, path: Path, endpoints: Endpoints, progress: Progress
) -> set[int]:
    """The offsets that old chunks of an in-place target would serve, moved or not."""
    row = endpoints.memory.recall(bytes(path))
    was = known_outline(endpoints.memory, row.manifest) if row else None
    moves = _find_moves(outline, was, path, endpoints, progress)
    served = set(moves.kept)
    served.update(moves.targets)
    for step in order_moves(moves.sources, moves.targets, moves.lengths, STASH_BYTES):
        if isinstance(step, Drop):
            served.discard(moves.targets[step.index])
    return served
