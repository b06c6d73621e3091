"""Calls of obstore from threads, which are freed when a source is closed.

The library waits for a server for as long as its time limit says, and a thread in one of its plain
calls cannot be woken. So its asynchronous ones run on a loop, in one thread of the process, and
threads wait for their results.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from casync.errors import StoppedError

__all__ = ["ObstoreCalls"]

_T = TypeVar("_T")

_LAST_SECONDS = 0.05
"""Seconds in which threads of the library leave Python: one that cannot aborts the process."""


class _Loop:
    """The loop of this process, as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop, which runs."""
        with self._lock:
            if self._loop is None or self._process != os.getpid():  # forks have no thread of it
                self._process = os.getpid()
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=self._loop.run_forever, name="obstore-calls", daemon=True
                )
                thread.start()
                atexit.register(_end, self._process, self._loop, thread)
            return self._loop


def _end(process: int, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Ends the loop of a process at its exit."""
    if process == os.getpid():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        time.sleep(_LAST_SECONDS)


_LOOP = _Loop()


class ObstoreCalls:
    """The calls for one user. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: set[Future[Any]] = set()

    def wait(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Calls `call` on the loop, and returns the result.

        Raises:
            StoppedError: `close` was called, before or meanwhile.
            Exception: What the call raises.
        """

        async def run() -> _T:
            return await call()

        with self._lock:
            if self._closed:
                raise StoppedError("stopped")
            future = asyncio.run_coroutine_threadsafe(run(), _LOOP.get())
            self._waiting.add(future)
        try:
            return future.result()
        except CancelledError as error:
            raise StoppedError("stopped") from error
        finally:
            future.cancel()  # for a thread that was interrupted
            with self._lock:
                self._waiting.discard(future)

    def close(self) -> None:
        """Ends all calls, running ones and later ones."""
        with self._lock:
            self._closed = True
            waiting = [*self._waiting]
        for future in waiting:
            future.cancel()
