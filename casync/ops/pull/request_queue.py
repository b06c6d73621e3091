"""Portions that wait for servers. What several of them lack travels with one request.

The number of requests follows the bytes that travel, not the portions of the target: of a large
target with scattered changes, each portion lacks little.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import Future
from typing import Final

from casync.limits import MAX_BATCH_IDS, MIB
from casync.planning.portions import PORTION_BYTES, Portion
from casync.planning.windows import Place

__all__ = ["PortionTask", "RequestQueue"]

_FEW_CHUNKS: Final = 256
_FEW_BYTES: Final = 4 * MIB
"""A request for less waits for more to ask for, while another one is on its way."""

_MOST_PORTIONS: Final = 64
"""Portions of one request."""


class PortionTask:
    """A portion on its way through a rebuild.

    Attributes:
        portion: The portion.
        copied: Completes when what local files have of it is written.
        fetched: Completes when what they lack is, apart from `lost` and `repeats`.
        done: Completes when all of it is.
        fresh: Places whose chunks are wanted, and not written yet.
        lost: Places of chunks that local files should have, and have not.
        repeats: Pieces that occur earlier and are not written yet.
        given: Plain bytes from local files, by source.
        came: Plain bytes from supplies and from the target, by source.
        used: Plain bytes from each seed.
    """

    copied: Future[None]
    done: Future[None]

    def __init__(self, portion: Portion) -> None:
        self.portion = portion
        self.fetched: Future[None] = Future()
        self.fresh = list(portion.wanted)
        self.lost: list[Place] = []
        self.repeats = portion.repeats
        self.given: Counter[str] = Counter()
        self.came: Counter[str] = Counter()
        self.used: Counter[int] = Counter()

    def release(self) -> None:
        """Drops the lists of what is done: earlier portions may take long."""
        self.fresh, self.lost, self.repeats = [], [], []
        self.portion.missing = []

    def fail(self, error: BaseException) -> None:
        """Marks what it lacks as not to be had, unless it is there already."""
        if not self.fetched.done():
            self.fetched.set_exception(error)


class RequestQueue:
    """Portions, which several threads take.

    Args:
        one_by_one: Each portion is requested by itself, as soon as a thread is free.
    """

    def __init__(self, *, one_by_one: bool) -> None:
        self._one_by_one = one_by_one
        self._lock = threading.Lock()
        self._waiting: deque[PortionTask] = deque()
        self._requests = 0
        self._closed = False

    def put(self, task: PortionTask) -> None:
        """Appends a portion of which is known what no local store has."""
        with self._lock:
            self._waiting.append(task)

    def close(self) -> None:
        """Gives out nothing more."""
        with self._lock:
            self._closed = True

    def take(self, *, again: bool = False) -> list[PortionTask]:
        """The next portions to request together; none if there are none, or too few for now.

        A thread that has taken some takes again when they are done, so none are left behind.

        Args:
            again: The caller is done with what it took last.
        """
        with self._lock:
            self._requests -= again
            taken = [] if self._closed else self._next()
            for _ in taken:
                self._waiting.popleft()
            self._requests += bool(taken)
            return taken

    def _next(self) -> list[PortionTask]:
        taken: list[PortionTask] = []
        chunks = size = 0
        for task in self._waiting:
            more = sum(place.length for place in task.fresh)
            is_full = chunks + len(task.fresh) > MAX_BATCH_IDS or size + more > PORTION_BYTES
            if taken and (is_full or len(taken) == _MOST_PORTIONS):
                return taken
            taken.append(task)
            chunks += len(task.fresh)
            size += more
            if self._one_by_one:
                return taken
        is_little = 0 < chunks < _FEW_CHUNKS and size < _FEW_BYTES
        return [] if is_little and self._requests else taken
