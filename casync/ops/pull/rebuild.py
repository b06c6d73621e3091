"""Rebuilds content portion by portion, in several threads.

A portion goes through two stages: first what is in place and what local sources have; then chunks
from servers, and repeats of chunks that an earlier portion wrote. Each stage has its own threads,
so reading files and a slow link do not wait for each other. Portions enter the second stage in
order, so waiting there for an earlier portion cannot deadlock.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Final

from casync.access.progress import Progress
from casync.access.supply import Proved, Supply, chunk_fault
from casync.errors import CasyncError, MalformedError, StoppedError
from casync.ids import Buffer, ChunkId, chunk_ids, zero_chunk_id
from casync.limits import MIB
from casync.ops.pull.work import TargetWriter, Work
from casync.planning.adjacent import Joiner, read_places
from casync.planning.portions import CopyPiece, Portion, end_to_end
from casync.planning.windows import Place

__all__ = ["Rebuilder"]

_THREADS_HERE: Final = 2
"""Threads that read and hash local files: two saturate the memory bus, or a disk."""

_PORTIONS_AHEAD: Final = 64
"""Portions that wait for servers while later ones are served from local files."""

_HELD_REPEATS: Final = MIB
"""Bytes of repeats of a portion that are held, because they may repeat again."""

_ZERO_BYTES: Final = 1024 * MIB
"""Bytes of a hole that are zeroed at once: in a target with old bytes about a second of work."""


class _Task:
    """A portion in one of the two stages.

    Attributes:
        found: Completes with the first stage.
        fresh: Places whose chunks are not written yet.
        repeats: Pieces that occur earlier and are not written yet.
        given: Plain bytes from each source.
        used: Plain bytes from each seed.
    """

    found: Future[None]

    def __init__(self, portion: Portion) -> None:
        self.portion = portion
        self.fresh = list(portion.wanted)
        self.repeats = portion.repeats
        self.given: Counter[str] = Counter()
        self.used: Counter[int] = Counter()


class Rebuilder:
    """Rebuilds one content.

    Args:
        work: What to rebuild.
        output: Where to write it.
        workers: Portions that are requested from servers at once.
        progress: Advances by every byte of the content.

    Attributes:
        used: Plain bytes from each seed, by its number.
    """

    def __init__(
        self, work: Work, output: TargetWriter, *, workers: int, progress: Progress
    ) -> None:
        self.used: Counter[int] = Counter()
        self._work = work
        self._output = output
        self._keeper = work.keeper
        self._workers = workers
        self._progress = progress
        self._stopped = threading.Event()
        self._starts = array("Q")  # of all portions so far
        self._done: dict[int, Future[None]] = {}  # of the portions in the second stage

    def run(self) -> Counter[str]:
        """Rebuilds the content; returns the plain bytes from each source.

        Raises:
            CasyncError: A chunk is missing, or cannot be written. The output is incomplete then.
        """
        given: Counter[str] = Counter()
        here = ThreadPoolExecutor(_THREADS_HERE, thread_name_prefix="local")
        travel = ThreadPoolExecutor(self._workers, thread_name_prefix="pull")
        # An output that cannot be read back holds chunks in memory until it is their turn.
        streams = not self._output.readable
        ahead = self._workers if streams else _PORTIONS_AHEAD
        found_ahead = _THREADS_HERE if streams else 2 * _THREADS_HERE
        first: deque[_Task] = deque()
        second: deque[_Task] = deque()

        def go_on() -> None:
            task = first.popleft()
            task.found.result()
            self._done[task.portion.number] = travel.submit(self._complete, task)
            second.append(task)

        try:
            for portion in self._work.portions:
                self._starts.append(portion.start)
                task = _Task(portion)
                task.found = here.submit(self._find_here, task)
                first.append(task)
                if len(first) > found_ahead:
                    go_on()
                if len(second) > ahead:
                    given += self._settle(second.popleft())
            while first:
                go_on()
            while second:
                given += self._settle(second.popleft())
        except BaseException as error:
            self._stopped.set()
            for supply in self._work.supplies:
                supply.stop()
            if isinstance(error, CasyncError):
                self._keep_rest(here, travel)
            raise
        finally:
            here.shutdown(wait=True, cancel_futures=True)
            travel.shutdown(wait=True, cancel_futures=True)
        if self._output.discards:
            self._report(given, "repeat", self._work.length - given.total())
        if self._keeper is not None:
            if given["zero"]:
                zeros = bytes(self._work.hole)
                self._keeper.keep([Proved(zero_chunk_id(len(zeros)), zeros)])
            self._keeper.flush()
        return given

    def _keep_rest(self, *threads: ThreadPoolExecutor) -> None:
        """Stores what came before a failure, so that the next run need not fetch it again."""
        for pool in threads:
            pool.shutdown(wait=True, cancel_futures=True)
        if self._keeper is not None:
            with suppress(CasyncError):
                self._keeper.flush()

    def _settle(self, task: _Task) -> Counter[str]:
        self._done[task.portion.number].result()  # another portion may wait for it, too
        del self._done[task.portion.number]
        self._output.settle(task.portion.end)
        self.used += task.used
        return task.given

    def _find_here(self, task: _Task) -> None:
        """The first stage: everything that needs neither servers nor other portions."""
        portion, output, work = task.portion, self._output, self._work
        for offset, length in portion.zeros:
            for at in range(offset, offset + length, _ZERO_BYTES):
                size = min(_ZERO_BYTES, offset + length - at)
                output.zero(at, size)
                self._report(task.given, "zero", size)
        self._report(task.given, "zero", portion.kept_zeros)
        self._report(task.given, work.kept_label, portion.kept)
        copies = portion.copies
        if work.target is not None:  # the plan says what is in place already
            task.fresh += self._not_staying(task, copies)
            copies = [piece for piece in copies if piece.seed != work.target]
        elif output.resumed:
            copies = self._not_in_place(task, copies)
            task.repeats = self._not_in_place(task, task.repeats)
            task.fresh = self._not_right(task, task.fresh)
        task.fresh += self._copy(task, copies)
        if not output.readable and not output.discards:
            task.fresh += chain.from_iterable(piece.places for piece in task.repeats)
            task.repeats = []
        local = [supply for supply in work.supplies if not supply.travels]
        task.fresh = self._take(task, task.fresh, local)
        portion.copies = []  # a portion may wait for servers for long

    def _complete(self, task: _Task) -> None:
        """The second stage."""
        supplies = self._work.supplies
        self._take_all(task, task.fresh, [supply for supply in supplies if supply.travels])
        self._take_all(task, self._not_repeated(task), supplies)

    def _report(self, given: Counter[str], label: str, count: int) -> None:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        if count:
            given[label] += count
            self._progress.advance(count)

    def _not_staying(self, task: _Task, pieces: Sequence[CopyPiece]) -> list[Place]:
        """Of pieces that stay in the target or were moved there, the chunks that are wrong."""
        doubtful: list[Place] = []
        for piece in pieces:
            if piece.seed != self._work.target:
                continue
            end = piece.offset + piece.length
            is_moved = self._work.moved.cover(piece.offset, end)
            if is_moved and piece.source != piece.offset and self._keeper is None:
                self._report(task.given, self._work.kept_label, piece.length)
            else:
                doubtful += piece.places
        return self._not_right(task, doubtful)

    def _not_in_place(self, task: _Task, pieces: Sequence[CopyPiece]) -> list[CopyPiece]:
        """Cuts out of pieces what is in place already."""
        rest: list[CopyPiece] = []
        for piece in pieces:
            wrong = {place.offset for place in self._not_right(task, list(piece.places))}
            rest += piece.only(wrong)
        return rest

    def _not_right(self, task: _Task, places: Sequence[Place]) -> list[Place]:
        """The places whose bytes in the output are not right."""
        rest: list[Place] = []
        kept: list[Proved] = []
        for place, plain in chain.from_iterable(read_places(self._output.read, places)):
            if plain is None:
                rest.append(place)
                continue
            self._report(task.given, self._work.kept_label, place.length)
            if self._keeper is not None:
                kept.append(Proved(place.id, plain))
        if self._keeper is not None and kept:
            self._keeper.keep(kept)
        return rest

    def _copy(self, task: _Task, pieces: Sequence[CopyPiece]) -> list[Place]:
        """Writes pieces of seeds; returns the places of chunks that have changed there."""
        lost: list[Place] = []
        with self._joiner("seed", task.given) as writer:
            for piece, shared in self._shared(pieces):
                data = self._read_piece(piece, shared)
                plains, wrong = self._write(writer, piece, data, shared)
                lost += wrong
                task.used[piece.seed] += sum(map(len, plains))
                if self._keeper is not None:
                    gone = {place.offset for place in wrong}
                    good = (place.id for place in piece.places if place.offset not in gone)
                    self._keeper.keep(list(map(Proved, good, plains)))
        return lost

    def _shared(self, pieces: Sequence[CopyPiece]) -> Iterator[tuple[CopyPiece, range]]:
        """Passes pieces on, each with a range of the output that shares blocks with its seed."""
        share = self._work.share
        for together in end_to_end(pieces):
            shared = range(0)
            if share is not None:
                first, length = together[0], sum(piece.length for piece in together)
                shared = share(first.seed, first.source, first.offset, length)
            for piece in together:
                yield piece, shared

    def _read_piece(self, piece: CopyPiece, shared: range) -> Buffer:
        """The bytes that a piece is to have: what is shared from the output, others from its seed.

        Fewer than those where the seed ends.
        """
        start, stop = (
            min(max(at - piece.offset, 0), piece.length) for at in (shared.start, shared.stop)
        )
        read = partial(self._work.read_seed, piece.seed)
        if start == stop:
            return read(piece.source, piece.length)
        parts = [
            read(piece.source, start),
            self._output.read(piece.offset + start, stop - start),
            read(piece.source + stop, piece.length - stop),
        ]
        if sum(map(len, parts)) < piece.length:  # a gap between them would shift what follows
            return b""
        return b"".join(parts)

    def _write(
        self, writer: Joiner, piece: CopyPiece, data: Buffer, shared: range = range(0)
    ) -> tuple[list[memoryview], list[Place]]:
        """Writes a piece; returns its chunks, and the places of those that were not there."""
        data = memoryview(data)
        plains: list[memoryview] = []
        at = 0
        for _, length in piece.records:
            plains.append(data[at : at + length])
            at += length
        found = chunk_ids(plains)
        if found == [ident for ident, _ in piece.records]:
            writer.write_around(shared, piece.offset, data)
            return plains, []
        right: list[memoryview] = []
        lost: list[Place] = []
        for ident, plain, place in zip(found, plains, piece.places, strict=True):
            if ident == place.id:
                writer.write_around(shared, place.offset, plain)
                right.append(plain)
            else:
                lost.append(place)
        return right, lost

    def _take(self, task: _Task, places: list[Place], supplies: Sequence[Supply]) -> list[Place]:
        """Writes the chunks that supplies have; returns the places of the others."""
        where: dict[ChunkId, list[Place]] = {}
        wanted: dict[ChunkId, int] = {}
        for place in places:
            where.setdefault(place.id, []).append(place)
            if wanted.setdefault(place.id, place.length) != place.length:
                raise MalformedError(f"chunk {place.id.hex()} is listed with two lengths")
        for supply in supplies:
            if not wanted:
                return []
            keeper = None if supply.is_store else self._keeper
            passing: list[Proved] = []
            # Chunks before a failure are written and kept, so the next run need not fetch them.
            try:
                with self._joiner(supply.label, task.given) as writer:
                    for chunks in supply.supply(dict(wanted), task.portion.missing):
                        for ident, plain, _ in chunks:
                            del wanted[ident]
                            for place in where[ident]:
                                writer.write(place.offset, plain)
                        if keeper is not None:
                            passing += [chunk.to_keep() for chunk in chunks]
            finally:
                if keeper is not None and passing:
                    keeper.keep(passing)
        return [place for place in places if place.id in wanted]

    def _take_all(self, task: _Task, places: list[Place], supplies: Sequence[Supply]) -> None:
        for lost in self._take(task, places, supplies):
            part = "" if self._output.discards else self._work.part(lost.offset, lost.length)
            raise chunk_fault(lost.id, part, self._work.supplies)

    def _not_repeated(self, task: _Task) -> list[Place]:
        """Copies repeats from their first places; returns those whose first place has changed."""
        for piece in task.repeats:
            low = self._portion_at(piece.source)
            for number in range(low, self._portion_at(piece.source + piece.length - 1) + 1):
                running = self._done.get(number) if number != task.portion.number else None
                if running is not None:
                    running.result()
        lost: list[Place] = []
        held: dict[tuple[int, int], bytes] = {}
        room = _HELD_REPEATS

        def read(offset: int, length: int) -> bytes:
            nonlocal room
            data = held.get((offset, length))
            if data is None:
                data = self._output.read(offset, length)
                if (room := room - length) >= 0:
                    held[offset, length] = data
            return data

        with self._joiner("repeat", task.given) as writer:
            for piece in task.repeats:
                if piece.source + piece.length > task.repeats[0].offset:
                    writer.flush()  # it may be what an earlier piece wrote
                lost += self._write(writer, piece, read(piece.source, piece.length))[1]
        return lost

    def _portion_at(self, offset: int) -> int:
        """The number of the portion that covers `offset`."""
        return bisect_right(self._starts, offset) - 1

    def _joiner(self, label: str, given: Counter[str]) -> Joiner:
        """A joiner that writes to the output and reports the bytes."""
        return Joiner(self._output.write, partial(self._report, given, label))
