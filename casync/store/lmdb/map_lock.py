"""A read-write lock: many transactions at once, or one change of the map alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["RWLock"]


class RWLock:
    """A lock that is shared by `using` and exclusive in `alone`; a waiting `alone` goes first.

    Attributes:
        watch: Is called with true when a thread has acquired it shared, with false before it
            releases it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._alone = False
        self.watch: Callable[[bool], None] | None = None

    def enter(self) -> None:
        """Acquires the lock shared. Do not nest it in one thread."""
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._users += 1
        if self.watch is not None:
            self.watch(True)

    def leave(self) -> None:
        """Releases what `enter` acquired."""
        if self.watch is not None:
            self.watch(False)
        with self._changed:
            self._users -= 1
            if not self._users:
                self._changed.notify_all()

    @contextmanager
    def using(self) -> Iterator[None]:
        """`enter` and `leave` around a block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock exclusively: waits for running users, and blocks new ones."""
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._alone = True
            while self._users:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
