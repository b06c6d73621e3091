"""Things that threads still work on, taken in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["OrderedQueue"]

_T = TypeVar("_T")


class OrderedQueue(Generic[_T]):
    """A queue whose owner takes the oldest thing himself once too many wait.

    Args:
        take: Is given each thing in its turn, and waits for what is still missing of it.
        ahead: How many may wait.
    """

    def __init__(self, take: Callable[[_T], None], ahead: int) -> None:
        self._take = take
        self._ahead = ahead
        self._waiting: deque[_T] = deque()

    def put(self, thing: _T) -> None:
        """Takes a place at the end."""
        self._waiting.append(thing)
        self._drain(self._ahead)

    def finish(self) -> None:
        """Has everything taken."""
        self._drain(0)

    def _drain(self, most: int) -> None:
        while len(self._waiting) > most:
            self._take(self._waiting.popleft())
