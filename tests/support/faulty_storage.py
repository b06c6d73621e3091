"""A storage that fails, and lies, by a schedule that a seed decides."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from enum import Enum
from typing import BinaryIO, Final, Self

from casync.bucket.storage import ListedKey, ObjectStorage, StoredObject, Tag, TagForm
from casync.errors import UnreachableError

__all__ = ["EVERY_FAULT", "Fault", "FaultyStorage", "Schedule"]


class Fault(Enum):
    """What can go wrong with one call."""

    LOST = "the answer is lost: what was asked for happened, and the call fails"
    REFUSED = "412 although a condition held: an earlier try of the same call took effect"
    ERROR = "500: nothing happened"
    CONFLICT = "409 until the caller had enough: nothing happened"
    BUSY = "503 with Retry-After: nothing happened"
    SLOW = "the answer takes long"
    SHORT = "the body ends early"
    SWAPPED = "two bodies, or two parts of one, are exchanged"
    MISSING = "404, as after a deletion that not all servers know of"
    STALE = "a listing as it was at the last one"


EVERY_FAULT: Final[Mapping[Fault, float]] = dict.fromkeys(Fault, 0.02)

_READS: Final = (Fault.ERROR, Fault.BUSY, Fault.SLOW, Fault.SHORT, Fault.SWAPPED, Fault.MISSING)
_WRITES: Final = (Fault.LOST, Fault.ERROR, Fault.BUSY, Fault.SLOW)
_CONDITIONS: Final = (*_WRITES, Fault.REFUSED, Fault.CONFLICT)
_LISTS: Final = (Fault.ERROR, Fault.BUSY, Fault.SLOW, Fault.STALE)


class Schedule:
    """Says what goes wrong with the next call. The same seed gives the same faults in one thread.

    Args:
        seed: Decides everything.
        rates: How often each fault happens, of calls that it can happen to.

    Attributes:
        happened: How often each fault has happened.
    """

    def __init__(self, seed: int, rates: Mapping[Fault, float] = EVERY_FAULT) -> None:
        self.happened: Counter[Fault] = Counter()
        self._random = random.Random(seed)
        self._rates = rates
        self._lock = threading.Lock()

    def next(self, faults: Sequence[Fault]) -> Fault | None:
        """The fault of the next call, one of these, or None."""
        with self._lock:
            for fault in faults:
                if self._random.random() < self._rates.get(fault, 0.0):
                    self.happened[fault] += 1
                    return fault
        return None

    def below(self, bound: int) -> int:
        """A number below `bound`."""
        with self._lock:
            return self._random.randrange(bound)


class FaultyStorage:
    """Another storage with faults. See `ObjectStorage`.

    Args:
        storage: The other one.
        schedule: Says what goes wrong.
        pause: Is called when an answer takes long.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        schedule: Schedule,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._storage = storage
        self._schedule = schedule
        self._pause = pause
        self._listed: dict[str, list[ListedKey]] = {}

    @property
    def place(self) -> str:
        return self._storage.place

    def using(self, form: TagForm) -> Self:
        other = copy(self)
        other._storage = self._storage.using(form)
        return other

    def get(self, key: str) -> StoredObject | None:
        with self._failing(_READS) as fault:
            found = self._storage.get(key)
        if found is None or fault is Fault.MISSING:
            return None
        return StoredObject(self._damaged(found.data, fault), found.tag)

    def tag(self, key: str) -> Tag | None:
        with self._failing((Fault.ERROR, Fault.BUSY, Fault.SLOW, Fault.MISSING)) as fault:
            found = self._storage.tag(key)
        return None if fault is Fault.MISSING else found

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        with self._failing(_READS) as fault:
            found = self._storage.get_ranges(key, ranges)
        if not found or fault is Fault.MISSING:
            return None
        at = self._schedule.below(len(found))
        if fault is Fault.SWAPPED and len(found) > 1:
            found[at], found[at - 1] = found[at - 1], found[at]
        else:
            found[at] = self._damaged(found[at], fault)
        return found

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        with self._failing(_WRITES):
            self._storage.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        with self._failing(_CONDITIONS) as fault:
            found = self._storage.create(key, data)
        return found and fault is not Fault.REFUSED

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        with self._failing(_CONDITIONS) as fault:
            found = self._storage.swap(key, data, tag)
        return None if fault is Fault.REFUSED else found

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        with self._failing(_LISTS) as fault:
            if fault is not Fault.STALE or prefix not in self._listed:
                self._listed[prefix] = list(self._storage.list(prefix))
        yield from self._listed[prefix]

    def delete(self, keys: Sequence[str]) -> None:
        with self._failing(_WRITES) as fault:
            done = len(keys) if fault is not Fault.LOST else self._schedule.below(len(keys) + 1)
            self._storage.delete(keys[:done])

    def close(self) -> None:
        self._storage.close()

    @contextmanager
    def _failing(self, faults: Sequence[Fault]) -> Iterator[Fault | None]:
        """The fault of a call, which it raises before or after the call itself."""
        fault = self._schedule.next(faults)
        if fault is Fault.SLOW:
            self._pause()
        if fault in (Fault.ERROR, Fault.CONFLICT):
            raise UnreachableError(f"cannot reach {self.place}: {fault.value}")
        if fault is Fault.BUSY:
            raise UnreachableError(f"cannot reach {self.place}: {fault.value}", retry_after=0.01)
        yield fault
        if fault is Fault.LOST:
            raise UnreachableError(f"cannot reach {self.place}: {fault.value}")

    def _damaged(self, data: bytes, fault: Fault | None) -> bytes:
        if not data or fault not in (Fault.SHORT, Fault.SWAPPED):
            return data
        at = self._schedule.below(len(data))
        return data[:at] if fault is Fault.SHORT else data[at:] + data[:at]
