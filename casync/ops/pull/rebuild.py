"""Rebuilds content portion by portion, in several threads.

What local stores and servers have of a portion is looked up ahead of copying what local files have,
and each has its own threads, so reading files and a slow link do not wait for each other. When both
are done, repeats of chunks that an earlier portion wrote follow. Portions enter that stage in
order, so waiting there for an earlier portion cannot deadlock.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Final

from casync.access.progress import Progress
from casync.access.supply import Proved, Supply, chunk_fault
from casync.errors import CasyncError, MalformedError, StoppedError
from casync.ids import ChunkId, zero_chunk_id
from casync.limits import MIB
from casync.ops.pull.pieces import read_piece, shared_pieces, write_piece
from casync.ops.pull.request_queue import PortionTask, RequestQueue
from casync.ops.pull.work import TargetWriter, Work
from casync.planning.adjacent import Joiner, read_places
from casync.planning.portions import CopyPiece
from casync.planning.windows import Place

__all__ = ["Rebuilder"]

_THREADS_HERE: Final = 2
"""Threads that read and hash local files: two saturate the memory bus, or a disk."""

_PORTIONS_AHEAD: Final = 64
"""Portions that wait for servers while later ones are served from local files."""

_LOOKED_AHEAD: Final = 16
"""Portions whose wanted chunks are fetched before the others are copied."""

_COPIES_AHEAD: Final = 1 << 15
"""Chunks to copy in such portions: 4 MiB."""

_HELD_REPEATS: Final = MIB
"""Bytes of repeats of a portion that are held, because they may repeat again."""

_ZERO_BYTES: Final = 1024 * MIB
"""Bytes of a hole that are zeroed at once: in a target with old bytes about a second of work."""


class Rebuilder:
    """Rebuilds one content.

    Args:
        work: What to rebuild.
        output: Where to write it.
        workers: Requests to servers at once.
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
        self._done: dict[int, Future[None]] = {}  # of the portions that are being finished
        # An output that cannot be read back holds chunks in memory until it is their turn.
        self._streams = not output.readable
        self._queue = RequestQueue(one_by_one=self._streams)
        self._local = [supply for supply in work.supplies if not supply.travels]

    def run(self) -> Counter[str]:
        """Rebuilds the content; returns the plain bytes from each source.

        Raises:
            CasyncError: A chunk is missing, or cannot be written. The output is incomplete then.
        """
        given: Counter[str] = Counter()
        here = ThreadPoolExecutor(_THREADS_HERE, thread_name_prefix="local")
        travel = ThreadPoolExecutor(self._workers, thread_name_prefix="pull")
        finish = ThreadPoolExecutor(self._workers, thread_name_prefix="repeat")
        looked_ahead = 0 if self._streams else _LOOKED_AHEAD
        copied_ahead = _THREADS_HERE if self._streams else 2 * _THREADS_HERE
        ahead = self._workers if self._streams else _PORTIONS_AHEAD
        looked: deque[PortionTask] = deque()
        copying: deque[PortionTask] = deque()
        fetching: deque[PortionTask] = deque()
        chunks = 0  # to copy in `looked`

        def go_on() -> None:
            nonlocal chunks
            task = looked.popleft()
            chunks -= task.portion.copied_chunks
            task.copied = here.submit(self._copy_here, task)
            self._done[task.portion.number] = task.done = finish.submit(self._finish, task)
            copying.append(task)
            if len(copying) > copied_ahead:
                copying[0].copied.result()
                fetching.append(copying.popleft())
            if len(fetching) > ahead:
                nonlocal given
                given += self._settle(fetching.popleft())

        try:
            for portion in self._work.portions:
                self._starts.append(portion.start)
                looked.append(PortionTask(portion))
                chunks += portion.copied_chunks
                here.submit(self._look_up, looked[-1], travel)
                while len(looked) > looked_ahead or (looked and chunks > _COPIES_AHEAD):
                    go_on()
            while looked:
                go_on()
            for task in (*fetching, *copying):
                given += self._settle(task)
        except BaseException as error:
            self._stopped.set()
            self._queue.close()
            for supply in self._work.supplies:
                supply.stop()
            if isinstance(error, CasyncError):
                self._keep_rest(here, travel)
            raise
        finally:
            here.shutdown(wait=True, cancel_futures=True)
            travel.shutdown(wait=True, cancel_futures=True)
            for task in (*fetching, *copying):
                task.fail(StoppedError("stopped"))  # what is being finished waits for it
            finish.shutdown(wait=True, cancel_futures=True)
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

    def _settle(self, task: PortionTask) -> Counter[str]:
        task.done.result()
        del self._done[task.portion.number]  # another portion may have waited for it, too
        self._output.settle(task.portion.end)
        self.used += task.used
        return task.given + task.came

    def _look_up(self, task: PortionTask, travel: ThreadPoolExecutor) -> None:
        """Writes wanted chunks that local stores have; the others travel."""
        try:
            output = self._output
            if self._work.target is None and output.resumed:
                task.fresh = self._not_right(task.came, task.fresh)
            if not output.readable and not output.discards:
                task.fresh += chain.from_iterable(piece.places for piece in task.repeats)
                task.repeats = []
            task.fresh = self._take([task], task.fresh, self._local)
            self._queue.put(task)
            travel.submit(self._request)
        except BaseException as error:
            task.fail(error)
            raise

    def _request(self) -> None:
        """Fetches what portions lack, while there are any."""
        tasks = self._queue.take()
        while tasks:
            try:
                fresh = [place for task in tasks for place in task.fresh]
                supplies = [supply for supply in self._work.supplies if supply.travels]
                self._take_all(tasks, fresh, supplies)
                for task in tasks:
                    task.fetched.set_result(None)
            except BaseException as error:
                for task in tasks:
                    task.fail(error)
            tasks = self._queue.take(again=True)

    def _copy_here(self, task: PortionTask) -> None:
        """Writes everything that needs neither supplies nor other portions."""
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
            task.lost += self._not_staying(task, copies)
            copies = [piece for piece in copies if piece.seed != work.target]
        elif output.resumed:
            copies = self._not_in_place(task, copies)
            task.repeats = self._not_in_place(task, task.repeats)
        task.lost += self._copy(task, copies)
        portion.copies = []  # a portion may wait for servers for long

    def _finish(self, task: PortionTask) -> None:
        """Writes what could only be written after the rest."""
        task.copied.result()
        task.fetched.result()
        supplies = self._work.supplies
        self._take_all([task], self._take([task], task.lost, self._local), supplies)
        self._take_all([task], self._not_repeated(task), supplies)
        task.release()

    def _report(self, given: Counter[str], label: str, count: int) -> None:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        if count:
            given[label] += count
            self._progress.advance(count)

    def _not_staying(self, task: PortionTask, pieces: Sequence[CopyPiece]) -> list[Place]:
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
        return self._not_right(task.given, doubtful)

    def _not_in_place(self, task: PortionTask, pieces: Sequence[CopyPiece]) -> list[CopyPiece]:
        """Cuts out of pieces what is in place already."""
        rest: list[CopyPiece] = []
        for piece in pieces:
            wrong = {place.offset for place in self._not_right(task.given, list(piece.places))}
            rest += piece.only(wrong)
        return rest

    def _not_right(self, given: Counter[str], places: Sequence[Place]) -> list[Place]:
        """The places whose bytes in the output are not right."""
        rest: list[Place] = []
        kept: list[Proved] = []
        for place, plain in chain.from_iterable(read_places(self._output.read, places)):
            if plain is None:
                rest.append(place)
                continue
            self._report(given, self._work.kept_label, place.length)
            if self._keeper is not None:
                kept.append(Proved(place.id, plain))
        if self._keeper is not None and kept:
            self._keeper.keep(kept)
        return rest

    def _copy(self, task: PortionTask, pieces: Sequence[CopyPiece]) -> list[Place]:
        """Writes pieces of seeds; returns the places of chunks that have changed there."""
        lost: list[Place] = []
        with self._joiner("seed", task.given) as writer:
            for piece, shared in shared_pieces(self._work, pieces):
                data = read_piece(self._work, self._output, piece, shared)
                plains, wrong = write_piece(writer, piece, data, shared)
                lost += wrong
                task.used[piece.seed] += sum(map(len, plains))
                if self._keeper is not None:
                    gone = {place.offset for place in wrong}
                    good = (place.id for place in piece.places if place.offset not in gone)
                    self._keeper.keep(list(map(Proved, good, plains)))
        return lost

    def _take(
        self, tasks: Sequence[PortionTask], places: list[Place], supplies: Sequence[Supply]
    ) -> list[Place]:
        """Writes the chunks that supplies have; returns the places of the others.

        Their bytes count as those of the first of `tasks`.
        """
        runs = [run for task in tasks for run in task.portion.missing]
        where: dict[ChunkId, list[int]] = {}
        wanted: dict[ChunkId, int] = {}
        for place in places:
            ident, length = place.id, place.length
            if wanted.setdefault(ident, length) != length:
                raise MalformedError(f"chunk {ident.hex()} is listed with two lengths")
            where.setdefault(ident, []).append(place.offset)
        for supply in supplies:
            if not wanted:
                return []
            keeper = None if supply.is_store else self._keeper
            passing: list[Proved] = []
            # Chunks before a failure are written and kept, so the next run need not fetch them.
            try:
                with self._joiner(supply.label, tasks[0].came) as writer:
                    for chunks in supply.supply(dict(wanted), runs):
                        for ident, _, _ in chunks:
                            del wanted[ident]
                        writer.write_all(
                            (at, plain) for ident, plain, _ in chunks for at in where[ident]
                        )
                        if keeper is not None:
                            passing += [chunk.to_keep() for chunk in chunks]
            finally:
                if keeper is not None and passing:
                    keeper.keep(passing)
        return [place for place in places if place.id in wanted]

    def _take_all(
        self, tasks: Sequence[PortionTask], places: list[Place], supplies: Sequence[Supply]
    ) -> None:
        for lost in self._take(tasks, places, supplies):
            part = "" if self._output.discards else self._work.part(lost.offset, lost.length)
            raise chunk_fault(lost.id, part, self._work.supplies)

    def _not_repeated(self, task: PortionTask) -> list[Place]:
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
                lost += write_piece(writer, piece, read(piece.source, piece.length))[1]
        return lost

    def _portion_at(self, offset: int) -> int:
        """The number of the portion that covers `offset`."""
        return bisect_right(self._starts, offset) - 1

    def _joiner(self, label: str, given: Counter[str]) -> Joiner:
        """A joiner that writes to the output and reports the bytes."""
        return Joiner(self._output.write, partial(self._report, given, label))
