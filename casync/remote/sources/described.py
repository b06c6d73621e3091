"""Completes listings: asks for each object of which a listing says too little, many at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Final, TypeVar

from casync.errors import DeniedError, NotFoundError, RemoteError, UnreachableError
from casync.remote.sources.base import Listed, RemoteSource

__all__ = ["described"]

_AHEAD: Final = 64
"""Objects that are asked for ahead of the one that is taken."""

_Item = TypeVar("_Item")


def described(
    source: RemoteSource,
    items: Iterable[tuple[_Item, Listed]],
    asks: Callable[[_Item, Listed], bool],
    executor: Executor,
) -> Iterator[tuple[_Item, Listed]]:
    """The same objects in the same order, as the source describes them one by one.

    One that is gone, or that the source does not show, stays as it was listed.

    Args:
        source: The source.
        items: Objects, each with anything that belongs to it.
        asks: Whether to ask for an object.
        executor: Runs the requests.

    Raises:
        UnreachableError: The source does not answer.
    """
    waiting: deque[tuple[_Item, Listed, Future[Listed | None] | None]] = deque()
    for item, listed in items:
        future = executor.submit(source.find, listed.key) if asks(item, listed) else None
        waiting.append((item, listed, future))
        if len(waiting) >= _AHEAD:
            yield _taken(*waiting.popleft())
    while waiting:
        yield _taken(*waiting.popleft())


def _taken(
    item: _Item, listed: Listed, future: Future[Listed | None] | None
) -> tuple[_Item, Listed]:
    if future is None:
        return item, listed
    try:
        return item, future.result() or listed
    except UnreachableError:
        raise
    except (DeniedError, NotFoundError, RemoteError):
        return item, listed
