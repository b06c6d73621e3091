"""Rebuilds content window by window, in several threads.

A window goes through two stages: first chunks in place and from local sources; then chunks from
servers, and repeats of chunks that an earlier window wrote. Each stage has its own threads, so
reading files and a slow link do not wait for each other. Windows enter the second stage in order,
so waiting there for an earlier window cannot deadlock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Final, Protocol

from casync.access.keeper import Keeper
from casync.access.progress import Progress
from casync.access.supply import Proved, Supply, chunk_fault
from casync.errors import MalformedError, StoppedError
from casync.ids import Buffer, ChunkId, zero_chunk_id
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams
from casync.planning.adjacent import FoundChunk, Joiner, read_places
from casync.planning.windows import FirstPlaces, Place, Window

__all__ = ["Nowhere", "TargetWriter", "Rebuilder", "Whole"]

_THREADS_HERE: Final = 2
"""Threads that read and hash local files: two saturate the memory bus, or a disk."""

_WINDOWS_AHEAD: Final = 64
"""Windows that wait for servers while later ones are served from local files. A waiting window is
a list of places."""

_HELD_REPEATS: Final = MIB
"""Bytes of distinct repeats of a window that are read before any is written."""

_ZERO_BYTES: Final = 1024 * MIB
"""Bytes of a hole that are zeroed at once in a target with old bytes: about a second of work."""


class Whole(Protocol):
    """The content to rebuild."""

    @property
    def length(self) -> int:
        """Plain bytes."""
        ...

    @property
    def params(self) -> ChunkerParams:
        """The chunk sizes that it was cut with."""
        ...

    def part(self, offset: int, length: int) -> str:
        """The part of the content at an offset, for messages."""
        ...

    def windows(self, *, distinct: bool) -> Iterator[Window]:
        """All of it in order; with `distinct`, each chunk at least once, at meaningless offsets."""
        ...


class TargetWriter(Protocol):
    """The output of a rebuild.

    Attributes:
        resumed: Bytes in it may be right already; they are read and hashed first.
        readable: Written bytes can be read back.
        discards: It drops the bytes; only the keeper takes them.
    """

    resumed: bool
    readable: bool
    discards: bool

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        ...

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on. Called by several threads."""
        ...

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros."""
        ...

    def settle(self, end: int) -> None:
        """Marks everything before `end` as written. Called in order by one thread."""
        ...


class Nowhere:
    """The output of a pull into the store only: it drops the bytes."""

    resumed = False
    readable = False
    discards = True

    def read(self, offset: int, length: int) -> bytes:
        """Returns nothing."""
        return b""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Drops the bytes."""

    def zero(self, offset: int, length: int) -> None:
        """Drops the zeros."""

    def settle(self, end: int) -> None:
        """Does nothing."""


class _WindowTask:
    """A window in one of the two stages.

    Attributes:
        found: Completes with the first stage.
        fresh: Places whose chunks are not written yet.
        repeats: Places of chunks that occur earlier, each with the offset of the first place.
        given: Plain bytes from each source.
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
        whole: The content.
        output: Where to write it.
        supplies: The sources of chunks, the cheapest first.
        keeper: Stores every chunk, if given.
        workers: Windows that are requested from servers at once.
        kept_label: The source's label for bytes that are in place already.
        progress: Advances by every byte of the content.
        moved: Offsets of chunks that `move_in_place` wrote and proved, ascending.
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
        """Rebuilds the content; returns the plain bytes from each source.

        Raises:
            CasyncError: A chunk is missing, or cannot be written. The output is incomplete then.
        """
        given: Counter[str] = Counter()
        whole = self._whole
        stretch = whole.windows(distinct=self._output.discards)
        here = ThreadPoolExecutor(_THREADS_HERE, thread_name_prefix="local")
        travel = ThreadPoolExecutor(self._workers, thread_name_prefix="pull")
        # An output that cannot be read back holds chunks in memory until it is their turn.
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
        """The first stage: everything that needs neither servers nor other windows."""
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
        """The offsets of the places in a window whose bytes are not right already."""
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
        """The places that must be read and hashed: all of them if there is a keeper."""
        low, high = (bisect_left(self._moved, end) for end in (window.start, window.end))
        if low == high or self._keeper is not None:
            return window.places
        moved = set(self._moved[low:high])
        return [place for place in window.places if place.offset not in moved]

    def _take(
        self, task: _WindowTask, places: list[Place], supplies: Sequence[Supply]
    ) -> list[Place]:
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
            # Chunks before a failure are written, too, so the next run need not fetch them again.
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
        for lost in self._take(task, places, supplies):
            part = "" if self._output.discards else self._whole.part(lost.offset, lost.length)
            raise chunk_fault(lost.id, part, self._supplies)

    def _not_repeated(self, task: _WindowTask) -> list[Place]:
        """Copies repeats from their first places; returns those whose first place has changed."""
        for _, first in task.repeats:
            earlier = self._first_places.window_of(first)
            running = self._done.get(earlier) if earlier != task.number else None
            if running is not None:
                running.result()
        lost: list[Place] = []
        with self._joiner("repeat", task.given) as writer:
            for place, plain in self._read_repeats(task.repeats):
                if plain is None:
                    lost.append(place)
                else:
                    writer.write(place.offset, plain)
        return lost

    def _read_repeats(self, repeats: list[tuple[Place, int]]) -> Iterator[FoundChunk]:
        """The chunk of each repeat, or None where its first place has changed."""
        distinct = {place.id: (first, place.length) for place, first in repeats}
        if sum(length for _, length in distinct.values()) > _HELD_REPEATS:
            sources = [Place(first, place.id, place.length) for place, first in repeats]
            found = chain.from_iterable(read_places(self._output.read, sources))
            for (place, _), (_, plain) in zip(repeats, found, strict=True):
                yield place, plain
            return
        # Tiny chunks repeat hundreds of times in a window; each is read once.
        sources = sorted(
            (Place(first, ident, length) for ident, (first, length) in distinct.items()),
            key=attrgetter("offset"),
        )
        known = chain.from_iterable(read_places(self._output.read, sources))
        plains = {place.id: plain for place, plain in known}
        for place, _ in repeats:
            yield place, plains[place.id]

    def _joiner(self, label: str, given: Counter[str]) -> Joiner:
        """A joiner that writes to the output and reports the bytes."""
        return Joiner(self._output.write, partial(self._report, given, label))
