"""What all jobs of one process share: a bound on their connections, and on what they read ahead."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from casync.errors import StoppedError

__all__ = ["SharedBounds"]

_LOOK_SECONDS: Final = 0.5
"""Seconds between two looks whether a job that waits for a connection was stopped."""

_SPLIT_AT_ONCE: Final = 2
"""Objects that are read in ranges at the same time. Each holds up to 32 MiB in memory."""


class SharedBounds:
    """Bounds the connections of several jobs together. Safe for threads.

    Each job may use an equal share, and always one. A job that begins while others use more gets
    its share as their objects end.

    Args:
        connections: How many there are.

    Attributes:
        splits: Bounds the objects that are read in ranges.
    """

    def __init__(self, connections: int) -> None:
        self._most = connections
        self._changed = threading.Condition()
        self._jobs: set[str] = set()
        self._used: Counter[str] = Counter()
        self.splits = threading.Semaphore(_SPLIT_AT_ONCE)

    @contextmanager
    def job(self, ident: str) -> Iterator[None]:
        """Gives a share to a job in the block."""
        with self._changed:
            self._jobs.add(ident)
        try:
            yield
        finally:
            with self._changed:
                self._jobs.discard(ident)
                self._changed.notify_all()

    def take(self, ident: str, stopped: threading.Event) -> None:
        """Takes a connection of the share of a job, and waits until there is one.

        Raises:
            StoppedError: The job was stopped.
        """
        with self._changed:
            while not self._is_free(ident):
                if stopped.is_set():
                    raise StoppedError("stopped")
                self._changed.wait(_LOOK_SECONDS)
            self._used[ident] += 1

    def try_take(self, ident: str) -> bool:
        """Takes a connection if there is one now."""
        with self._changed:
            is_free = self._is_free(ident)
            self._used[ident] += is_free
            return is_free

    def give_back(self, ident: str) -> None:
        """Gives a connection back."""
        with self._changed:
            self._used[ident] -= 1
            if not self._used[ident]:
                del self._used[ident]
            self._changed.notify_all()

    def _is_free(self, ident: str) -> bool:
        used = self._used[ident]
        if not used:
            return True
        share = self._most // max(len(self._jobs), 1)
        return used < share and self._used.total() < self._most
