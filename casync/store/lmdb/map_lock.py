"""Lets many transactions through at once, or one change of the map alone.

Must not know what either of them is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["RWLock"]


class RWLock:
    """A lock that is shared by `using` and exclusive in `alone`, which goes first when waiting."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._alone = False

    def enter(self) -> None:
        """Begins to use the map. Not to be nested in one thread."""
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._users += 1

    def leave(self) -> None:
        """Ends what `enter` began."""
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
        """Waits until nobody uses the map, and keeps everybody out."""
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
