"""Waiting for what another thread makes. A server lets other requests have the thread meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

__all__ = ["ASIDE", "held_by_one"]


class _Aside(threading.local):
    """How the thread steps aside, for as long as a context lasts.

    A thread that holds a lock may be suspended until one of a pool's places is free. It never is
    if threads that wait for the lock have all of them.
    """

    stepping: Callable[[], AbstractContextManager[object]] = nullcontext


ASIDE: Final = _Aside()


@contextmanager
def held_by_one(lock: threading.Lock) -> Iterator[None]:
    """Holds a lock. A thread that has to wait for it steps aside.

    Raises:
        CasyncError: It cannot step aside.
    """
    if not lock.acquire(blocking=False):
        with ASIDE.stepping():
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
