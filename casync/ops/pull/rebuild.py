"""Rebuilds content window by window, in several threads.

A window goes through two stages: what is already in place and what this machine has; then what
must travel, and what an earlier window has placed. Each stage has threads of its own, so a slow
link is kept busy while files are read, and neither waits for the other. Windows enter the second
stage in order, so waiting there for an earlier one cannot deadlock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Final, Protocol

from casync.access.keeper import Keeper
from casync.access.progress import Progress
from casync.access.supply import Proved, Supply
from casync.errors import MalformedError, NoObjectError, StoppedError
from casync.ids import Buffer, ChunkId, zero_chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams
from casync.planning.adjacent import Joiner, read_places
from casync.planning.windows import FirstPlaces, Place, Window

__all__ = ["Nowhere", "TargetWriter", "Rebuilder", "Whole"]

_THREADS_HERE: Final = 2
"""Threads that read and hash local files: they keep a memory bus busy, or a disk."""

_WINDOWS_AHEAD: Final = 64
"""Windows that wait for servers while later ones are served from local files: lists of places."""

_ZERO_BYTES: Final = 1024 * MIB
"""Bytes of a hole that are made at once where something may lie: that takes a second or so."""


class Whole(Protocol):
    """What is wanted, from its first byte to its last."""

    @property
    def length(self) -> int:
        """Plain bytes."""
        ...

    @property
    def params(self) -> ChunkerParams:
        """How it was cut."""
        ...

    def windows(self, *, distinct: bool) -> Iterator[Window]:
        """All of it in order; `distinct`: each chunk at least once, at offsets of no meaning."""
        ...


class TargetWriter(Protocol):
    """Where rebuilt bytes go.

    Attributes:
        resumed: Bytes that are there already may be right; they are read and hashed first.
        readable: What was written can be read back.
        discards: Nobody wants the bytes here; only a keeper takes them.
    """

    resumed: bool
    readable: bool
    discards: bool

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        ...

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes neighbouring buffers from `offset` on. Called by several threads."""
        ...

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros."""
        ...

    def settle(self, end: int) -> None:
        """Everything before `end` is written. Called in order by one thread."""
        ...


class Nowhere:
    """The output of a pull into the store alone."""

    resumed = False
    readable = False
    discards = True

    def read(self, offset: int, length: int) -> bytes:
        """Nothing is here."""
        return b""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Lets the bytes go."""

    def zero(self, offset: int, length: int) -> None:
        """Lets the zeros go."""

    def settle(self, end: int) -> None:
        """Nothing waits."""


class _WindowTask:
    """A window on its way through both stages.

    Attributes:
        found: The end of the first stage.
        fresh: What is still to be had.
        repeats: What an earlier place has, with its offset.
        given: Plain bytes that each source gave.
    """

    found: Future[None]

    def __init__(
        self,
        number: int,
        window: Window,
        fresh: list[Place],
        repeats: list[tuple[Place, int]],
    ) -> None:
        self.number = number
        self.window = window
        self.fresh = fresh
        self.repeats = repeats
        self.given: Counter[str] = Counter()


class Rebuilder:
    """Rebuilds one content.

    Args:
        whole: What is wanted.
        output: Where it goes.
        supplies: Where chunks come from, the cheapest first.
        keeper: Takes every chunk that passes, if given.
        workers: Windows that servers are asked for at once.
        kept_label: What to call bytes that were in place already.
        progress: Is told of every byte of the target.
        moved: Offsets of chunks that were proved on their way to where they are, ascending.
    """

    def __init__(
        self,
        whole: Whole,
        output: TargetWriter,
        supplies: Sequence[Supply],
        *,
        keeper: Keeper | None,
        workers: int,
        kept_label: str,
        progress: Progress,
        moved: Sequence[int] = (),
    ) -> None:
        self._whole = whole
        self._output = output
        self._supplies = supplies
        self._keeper = keeper
        self._workers = workers
        self._kept_label = kept_label
        self._progress = progress
        self._moved = moved
        self._stopped = threading.Event()
        self._first_places = FirstPlaces()
        self._done: dict[int, Future[None]] = {}  # of the windows in the second stage

    def run(self) -> Counter[str]:
        """Does it all; returns the plain bytes that each source gave.

        Raises:
            CasyncError: Something could not be had or written. The output is then incomplete.
        """
        given: Counter[str] = Counter()
        whole = self._whole
        stretch = whole.windows(distinct=self._output.discards)
        here = ThreadPoolExecutor(_THREADS_HERE, thread_name_prefix="local")
        travel = ThreadPoolExecutor(self._workers, thread_name_prefix="pull")
        # What cannot be written yet waits in memory.
        ahead = _WINDOWS_AHEAD if self._output.readable else 2 * self._workers
        first: deque[_WindowTask] = deque()
        second: deque[_WindowTask] = deque()

        def go_on() -> None:
            task = first.popleft()
            task.found.result()
            self._done[task.number] = travel.submit(self._complete, task)
            second.append(task)

        try:
            for number, window in enumerate(stretch):
                task = _WindowTask(number, window, *self._first_places.split(window))
                task.found = here.submit(self._find_here, task)
                first.append(task)
                if len(first) > 2 * _THREADS_HERE:
                    go_on()
                if len(second) > ahead:
                    given += self._settle(second.popleft())
            while first:
                go_on()
            while second:
                given += self._settle(second.popleft())
        except BaseException:
            self._stopped.set()
            for supply in self._supplies:
                supply.stop()
            raise
        finally:
            here.shutdown(wait=True, cancel_futures=True)
            travel.shutdown(wait=True, cancel_futures=True)
        if self._output.discards:
            self._report(given, "repeat", whole.length - given.total())
        if self._keeper is not None:
            if given["zero"]:
                zeros = bytes(whole.params.max_size)
                self._keeper.keep([Proved(zero_chunk_id(len(zeros)), zeros)])
            self._keeper.flush()
        return given

    def _settle(self, task: _WindowTask) -> Counter[str]:
        self._done.pop(task.number).result()
        self._output.settle(task.window.end)
        return task.given

    def _find_here(self, task: _WindowTask) -> None:
        """The first stage: everything that needs no server and no other window."""
        for offset, length in task.window.zeros:
            step = _ZERO_BYTES if self._output.resumed else length
            for at in range(offset, offset + length, step):
                size = min(step, offset + length - at)
                self._output.zero(at, size)
                self._report(task.given, "zero", size)
        if self._output.resumed:
            rest = self._not_in_place(task)
            task.fresh = [place for place in task.fresh if place.offset in rest]
            task.repeats = [repeat for repeat in task.repeats if repeat[0].offset in rest]
        elif self._output.discards:
            task.repeats = []
        elif not self._output.readable:
            task.fresh += [place for place, _ in task.repeats]
            task.repeats = []
        local = [supply for supply in self._supplies if not supply.travels]
        task.fresh = self._take(task, task.fresh, local)

    def _complete(self, task: _WindowTask) -> None:
        """The second stage."""
        self._take_all(task, task.fresh, [supply for supply in self._supplies if supply.travels])
        self._take_all(task, self._not_repeated(task), self._supplies)

    def _report(self, given: Counter[str], label: str, count: int) -> None:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        given[label] += count
        self._progress.advance(count)

    def _not_in_place(self, task: _WindowTask) -> set[int]:
        """Where in a window other bytes lie than those that are wanted."""
        rest: set[int] = set()
        kept: list[Proved] = []
        count = sum(place.length for place in task.window.places)
        found = chain.from_iterable(read_places(self._output.read, self._unproved(task.window)))
        for place, plain in found:
            if plain is None:
                rest.add(place.offset)
                count -= place.length
            elif self._keeper is not None:
                kept.append(Proved(place.id, plain))
        self._report(task.given, self._kept_label, count)
        if self._keeper is not None and kept:
            self._keeper.keep(kept)
        return rest

    def _unproved(self, window: Window) -> list[Place]:
        """Places whose bytes nobody has seen yet; a keeper must see all."""
        low, high = (bisect_left(self._moved, end) for end in (window.start, window.end))
        if low == high or self._keeper is not None:
            return window.places
        moved = set(self._moved[low:high])
        return [place for place in window.places if place.offset not in moved]

    def _take(
        self, task: _WindowTask, places: list[Place], supplies: Sequence[Supply]
    ) -> list[Place]:
        """Places what supplies have; returns the places whose chunks none of them has."""
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
            # What came before a failure is written, too: the next run need not fetch it again.
            with self._joiner(supply.label, task.given) as writer:
                for chunks in supply.supply(dict(wanted), task.window):
                    for ident, plain, _ in chunks:
                        del wanted[ident]
                        for place in where[ident]:
                            writer.write(place.offset, plain)
                    if keeper is not None:
                        passing += chunks
            if keeper is not None and passing:
                keeper.keep(passing)
        return [place for place in places if place.id in wanted]

    def _take_all(self, task: _WindowTask, places: list[Place], supplies: Sequence[Supply]) -> None:
        for missing in self._take(task, places, supplies):
            raise NoObjectError(
                f"chunk {missing.id.hex()} is nowhere to be had",
                next_step="Name a server that has it with --server.",
            )

    def _not_repeated(self, task: _WindowTask) -> list[Place]:
        """Places repeats of what is written already; returns those that are not what they were."""
        for _, first in task.repeats:
            earlier = self._first_places.window_of(first)
            running = self._done.get(earlier) if earlier != task.number else None
            if running is not None:
                running.result()
        sources = [Place(first, place.id, place.length) for place, first in task.repeats]
        lost: list[Place] = []
        found = chain.from_iterable(read_places(self._output.read, sources))
        with self._joiner("repeat", task.given) as writer:
            for (place, _), (_, plain) in zip(task.repeats, found, strict=True):
                if plain is None:
                    lost.append(place)
                else:
                    writer.write(place.offset, plain)
        return lost

    def _joiner(self, label: str, given: Counter[str]) -> Joiner:
        """Writes to the output, and reports what was written."""
        return Joiner(self._output.write, partial(self._report, given, label))
