"""Threads that access the store, shared fairly among callers."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple, ParamSpec, Protocol, TypeVar

from casync.errors import UnreachableError
from casync_server.limits.rate_limit import spender
from casync_server.limits.request_work import Stint, current_work

__all__ = ["Queue", "ReadPool"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Waiting(NamedTuple):
    """Work that waits for a thread: what starts it, and what drops it."""

    start: Callable[[], object]
    drop: Callable[[], object]


_MOST_ASIDE: Final = 64
"""Calls that are suspended, each with its thread. Further ones are not suspended."""


class Queue(Protocol):
    """Counts work that is waiting or in progress."""

    def inc(self) -> None:
        """Adds one."""

    def dec(self) -> None:
        """Removes one."""


class _Turns:
    """What waits for a thread. Callers take turns, however much each of them wants."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str | None, deque[_Waiting]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, caller: str | None, waiting: _Waiting) -> None:
        self._waiting.setdefault(caller, deque()).append(waiting)

    def take(self) -> _Waiting:
        caller, queue = self._waiting.popitem(last=False)
        first = queue.popleft()
        if queue:
            self._waiting[caller] = queue
        return first


class ReadPool:
    """Threads that access the store: the event loop must not wait for a disk.

    Callers take turns. A long call that reaches a checkpoint is suspended while others wait.

    Args:
        threads: Number of calls that run at once.
        queue: Counts the work that is waiting or in progress.
    """

    def __init__(self, threads: int, queue: Queue | None = None) -> None:
        self._executor = ThreadPoolExecutor(threads + _MOST_ASIDE, thread_name_prefix="read")
        self._queue = queue
        self._lock = threading.Lock()
        self._turns = _Turns()
        self._free = threads
        self._aside = 0
        self._closed = False

    async def run(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Calls `function` in a thread and waits for it."""
        return await asyncio.wrap_future(self.submit(partial(function, *args, **kwargs)))

    def submit(self, function: Callable[[], _T]) -> Future[_T]:
        """Starts `function` in a thread; charges its CPU time to the current request's caller."""
        work = current_work()
        caller = None if work is None else work.caller
        aside = partial(self._step_aside, caller), partial(self._stepping_aside, caller)
        stint = Stint(work, spender(), *aside)
        future: Future[_T] = Future()

        def start() -> None:
            self._executor.submit(self._call, function, stint, future)

        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if self._queue is not None:
                queue = self._queue
                queue.inc()
                future.add_done_callback(lambda _: queue.dec())
            self._turns.add(caller, _Waiting(start, future.cancel))
        self._dispatch()
        return future

    def close(self) -> None:
        """Takes no more work. Does not wait: a thread may hang on a dying disk."""
        with self._lock:
            self._closed = True
            while self._turns:
                self._turns.take().drop()
        self._executor.shutdown(wait=False)

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                if not (self._free and self._turns):
                    return
                self._free -= 1
                waiting = self._turns.take()
            waiting.start()

    def _call(self, function: Callable[[], _T], stint: Stint, future: Future[_T]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                try:
                    with stint:
                        result = function()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        finally:
            with self._lock:
                self._free += 1
            self._dispatch()

    def _step_aside(self, caller: str | None) -> None:
        """Gives the thread of a call to others that wait, and waits for the caller's next turn."""
        with self._lock:
            if self._closed or not self._turns or self._aside >= _MOST_ASIDE:
                return
            self._aside += 1
            self._free += 1
        self._wait_for_turn(caller)

    @contextmanager
    def _stepping_aside(self, caller: str | None) -> Iterator[None]:
        """Gives the thread of a call to others for as long as it waits for another call.

        Raises:
            UnreachableError: Too many calls are suspended; clients ask again.
        """
        with self._lock:
            if self._aside >= _MOST_ASIDE:
                raise UnreachableError("too many requests wait for the same work")
            self._aside += 1
            self._free += 1
        self._dispatch()
        try:
            yield
        finally:
            self._wait_for_turn(caller)

    def _wait_for_turn(self, caller: str | None) -> None:
        turn = threading.Event()
        with self._lock:
            if self._closed:
                turn.set()
            else:
                self._turns.add(caller, _Waiting(turn.set, turn.set))
        self._dispatch()
        turn.wait()
        with self._lock:
            self._aside -= 1
