"""Rebuilds content window by window, in several threads.

A worker takes a window through the ladder: what is already in place, what each supply has, and
last what an earlier window has placed. Windows start in order, so waiting for an earlier one
cannot deadlock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

from casync.codec import Packer, Verified
from casync.errors import DamagedObjectError, MalformedError, NoObjectError, StoppedError
from casync.ids import Buffer, ChunkId, Kind, zero_chunk_id
from casync.limits import COMMIT_BYTES, MIB
from casync.neighbours import Joiner, read_places
from casync.ops.outline import Outline
from casync.ops.progress import Progress
from casync.ops.supply import Proved, Supply
from casync.plan import Claims, Place, Window, distinct_windows, windows
from casync.store.base import Absence, Batch, ObjectStore

__all__ = ["Keeper", "Nowhere", "Output", "Rebuilder"]

_ZERO_BYTES: Final = 1024 * MIB
"""Bytes of a hole that are made at once where something may lie: that takes a second or so."""


class Output(Protocol):
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


class Keeper:
    """Puts chunks that pass by into a store. Used by several threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._local = threading.local()
        self._objects: list[Verified] = []
        self._bytes = 0

    def keep(self, chunks: Sequence[Proved]) -> None:
        """Keeps those that the store lacks, packing what came in plain.

        Raises:
            DamagedObjectError: The store has one already, but damaged.
        """
        known = self._store.known(Kind.CHUNK, [chunk.id for chunk in chunks])
        self._prove([chunk.id for chunk, there in zip(chunks, known, strict=True) if there])
        new = [
            chunk.packed or self._packer().pack(Kind.CHUNK, chunk.id, chunk.plain)
            for chunk, there in zip(chunks, known, strict=True)
            if not there
        ]
        with self._lock:
            self._objects += new
            self._bytes += sum(len(packed.payload) for packed in new)
            if self._bytes >= COMMIT_BYTES:
                self._flush()

    def _prove(self, ids: Sequence[ChunkId]) -> None:
        for ident, answer in zip(ids, self._store.get(Kind.CHUNK, ids), strict=True):
            if answer is Absence.DAMAGED:
                raise DamagedObjectError(
                    f"chunk {ident.hex()} is damaged in the store",
                    next_step="Run `casync store reindex`, which lets go of it, and pull again.",
                )

    def flush(self) -> None:
        """Commits what is left."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._objects:
            self._store.commit(Batch(objects=self._objects))
            self._objects, self._bytes = [], 0

    def _packer(self) -> Packer:
        if not hasattr(self._local, "packer"):
            self._local.packer = Packer()
        packer: Packer = self._local.packer
        return packer


class Rebuilder:
    """Rebuilds one content.

    Args:
        outline: What is wanted.
        output: Where it goes.
        supplies: Where chunks come from, the cheapest first.
        keeper: Takes every chunk that passes, if given.
        workers: Windows in work at once.
        kept_label: What to call bytes that were in place already.
        progress: Is told of every byte of the target.
        moved: Offsets of chunks that were proved on their way to where they are, ascending.
    """

    def __init__(
        self,
        outline: Outline,
        output: Output,
        supplies: Sequence[Supply],
        *,
        keeper: Keeper | None,
        workers: int,
        kept_label: str,
        progress: Progress,
        moved: Sequence[int] = (),
    ) -> None:
        self._outline = outline
        self._output = output
        self._supplies = supplies
        self._keeper = keeper
        self._workers = workers
        self._kept_label = kept_label
        self._progress = progress
        self._moved = moved
        self._stopped = threading.Event()
        self._claims = Claims()
        self._futures: dict[int, Future[Counter[str]]] = {}  # of the windows in work

    def run(self) -> Counter[str]:
        """Does it all; returns the plain bytes that each source gave.

        Raises:
            CasyncError: Something could not be had or written. The output is then incomplete.
        """
        given: Counter[str] = Counter()
        waiting: deque[tuple[int, Window]] = deque()
        outline = self._outline
        plan = distinct_windows if self._output.discards else windows
        stretch = plan(outline.content, outline.node, outline.params.max_size)
        executor = ThreadPoolExecutor(self._workers, thread_name_prefix="pull")
        try:
            for number, window in enumerate(stretch):
                fresh, repeats = self._claims.claim(window)
                self._futures[number] = executor.submit(
                    self._window, number, window, fresh, repeats
                )
                waiting.append((number, window))
                if len(waiting) > 2 * self._workers:
                    given += self._settle(*waiting.popleft())
            while waiting:
                given += self._settle(*waiting.popleft())
        except BaseException:
            self._stopped.set()
            for supply in self._supplies:
                supply.stop()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        if self._output.discards:
            self._report(given, "repeat", outline.content.length - given.total())
        if self._keeper is not None:
            if given["zero"]:
                zeros = bytes(outline.params.max_size)
                self._keeper.keep([Proved(zero_chunk_id(len(zeros)), zeros, None)])
            self._keeper.flush()
        return given

    def _settle(self, number: int, window: Window) -> Counter[str]:
        given = self._futures[number].result()
        self._output.settle(window.end)
        del self._futures[number]
        return given

    def _window(
        self, number: int, window: Window, fresh: list[Place], repeats: list[tuple[Place, int]]
    ) -> Counter[str]:
        """One worker's job. Returns the plain bytes that each source gave."""
        given: Counter[str] = Counter()
        for offset, length in window.zeros:
            step = _ZERO_BYTES if self._output.resumed else length
            for at in range(offset, offset + length, step):
                size = min(step, offset + length - at)
                self._output.zero(at, size)
                self._report(given, "zero", size)
        if self._output.resumed:
            rest = self._not_in_place(window, given)
            fresh = [place for place in fresh if place.offset in rest]
            repeats = [repeat for repeat in repeats if repeat[0].offset in rest]
        elif self._output.discards:
            repeats = []
        elif not self._output.readable:
            fresh += [place for place, _ in repeats]
            repeats = []
        self._from_supplies(fresh, window, given)
        self._from_earlier(number, window, repeats, given)
        return given

    def _report(self, given: Counter[str], label: str, count: int) -> None:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        given[label] += count
        self._progress.advance(count)

    def _not_in_place(self, window: Window, given: Counter[str]) -> set[int]:
        """Where in a window other bytes lie than those that are wanted."""
        rest: set[int] = set()
        kept: list[Proved] = []
        count = 0
        for place, plain in read_places(self._output.read, self._unproved(window)):
            if plain is None:
                rest.add(place.offset)
                count -= place.length
            elif self._keeper is not None:
                kept.append(Proved(place.id, plain, None))
        count += sum(place.length for place in window.places)
        self._report(given, self._kept_label, count)
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

    def _from_supplies(self, places: list[Place], window: Window, given: Counter[str]) -> None:
        where: dict[ChunkId, list[Place]] = {}
        wanted: dict[ChunkId, int] = {}
        for place in places:
            where.setdefault(place.id, []).append(place)
            if wanted.setdefault(place.id, place.length) != place.length:
                raise MalformedError(f"chunk {place.id.hex()} is claimed with two lengths")
        for supply in self._supplies:
            if not wanted:
                return
            keeper = None if supply.is_store else self._keeper
            passing: list[Proved] = []
            # What came before a failure is written, too: the next run need not fetch it again.
            with self._joiner(supply.label, given) as writer:
                for proved in supply.supply(dict(wanted), window):
                    del wanted[proved.id]
                    for place in where[proved.id]:
                        writer.write(place.offset, proved.plain)
                    if keeper is not None:
                        passing.append(proved)
            if keeper is not None and passing:
                keeper.keep(passing)
        if wanted:
            missing = next(iter(wanted))
            raise NoObjectError(
                f"chunk {missing.hex()} is nowhere to be had",
                next_step="Name a server that has it with --server.",
            )

    def _from_earlier(
        self,
        number: int,
        window: Window,
        repeats: list[tuple[Place, int]],
        given: Counter[str],
    ) -> None:
        for _, first in repeats:
            earlier = self._claims.window_of(first)
            running = self._futures.get(earlier) if earlier != number else None
            if running is not None:
                running.result()
        sources = [Place(first, place.id, place.length) for place, first in repeats]
        lost: list[Place] = []
        found = read_places(self._output.read, sources)
        with self._joiner("repeat", given) as writer:
            for (place, _), (_, plain) in zip(repeats, found, strict=True):
                if plain is None:
                    lost.append(place)
                else:
                    writer.write(place.offset, plain)
        self._from_supplies(lost, window, given)

    def _joiner(self, label: str, given: Counter[str]) -> Joiner:
        """Writes to the output, and reports what was written."""
        return Joiner(self._output.write, partial(self._report, given, label))
