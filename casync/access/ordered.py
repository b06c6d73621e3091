"""A queue of items that threads work on, taken in the order of their arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["OrderedQueue"]

_T = TypeVar("_T")


class OrderedQueue(Generic[_T]):
    """A queue that takes its oldest item, in the caller's thread, once too many wait.

    Args:
        take: Called with each item in order; waits until the item is ready.
        ahead: Items that may wait.
    """

    def __init__(self, take: Callable[[_T], None], ahead: int) -> None:
        self._take = take
        self._ahead = ahead
        self._waiting: deque[_T] = deque()

    def put(self, thing: _T) -> None:
        """Appends an item; takes the oldest ones if too many wait."""
        self._waiting.append(thing)
        self._drain(self._ahead)

    def finish(self) -> None:
        """Takes all waiting items."""
        self._drain(0)

    def _drain(self, most: int) -> None:
        while len(self._waiting) > most:
            self._take(self._waiting.popleft())
