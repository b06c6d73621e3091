"""Types that the contracts above `ObjectStore` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from casync.store.collectable import CollectableStore
from casync.store.member_indexes import IndexedStore
from casync.store.writable import WritableStore

DAY = 86400


class WholeStore(WritableStore, CollectableStore, IndexedStore, Protocol):
    """A store that implements every port."""


class Clock:
    """Seconds since 1970, moved by a test."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Reopen: TypeAlias = Callable[[], WholeStore]
"""Opens the store again: the promises of its user end, pushes stay."""
