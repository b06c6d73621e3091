"""A large object in parallel ranges, which are handed on in order.

Threads of the job that have no object of their own fetch ranges ahead of the one that reads it.
Whether the server can do that is seen from its answers: a range counts only if it was answered as
asked for, of the same version. Otherwise the first answer is simply read to its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from casync.errors import CasyncError, UnreachableError
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import KIB, MIB
from casync.ops.download.queue import Errand, Errands
from casync.remote.sources.base import ObjectAnswer, failed
from casync.remote.sources.job_sources import ItemPlace

__all__ = ["SPLIT_BYTES", "RangedReader"]

_RANGE_BYTES: Final = 4 * MIB
"""Bytes of a range: large enough that the round trip does not matter."""

_BLOCK_BYTES: Final = 512 * KIB
"""Bytes of a block of the first answer, which is left at the next range that another thread has."""

_AHEAD: Final = 8
"""Ranges of one object that are fetched ahead, and held in memory."""

SPLIT_BYTES: Final = 32 * MIB
"""Bytes from which on ranges pay: starting them costs some round trips."""


class _Range:
    """One range, fetched by any thread."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.data: memoryview | None = None
        self.came = 0
        self.begun = False
        self.ended = threading.Event()


class RangedReader:
    """Reads the rest of one object, with the help of idle threads. Used by one thread.

    Args:
        place: Where the object is.
        validators: What its source said about it.
        size: Its size in bytes.
        errands: Takes ranges for idle threads.
        meter: Is told of each block that came; waits where there is a limit.
        piece: Bytes that are read at once, at most.

    Attributes:
        works: Whether the server answers ranges, as far as is known.
    """

    def __init__(
        self,
        place: ItemPlace,
        validators: Validators,
        size: int,
        errands: Errands,
        meter: Callable[[int], None],
        piece: int,
    ) -> None:
        self._place = place
        self._validators = validators
        self._size = size
        self._errands = errands
        self._meter = meter
        self._piece = piece
        self._at = 0
        self._ahead: dict[int, tuple[_Range, Errand]] = {}
        self._planned = 0
        self._is_proved = False
        self.works = True

    @property
    def here(self) -> int:
        """Bytes of the object that came so far, those of ranges ahead among them."""
        at = self._at
        return at + sum(part.came for part, _ in list(self._ahead.values()) if part.start >= at)

    def blocks(self, answer: ObjectAnswer) -> Iterator[memoryview]:
        """The bytes from the start of an open answer to the end of the object.

        Each block is good until the next one.

        Raises:
            CasyncError: The object cannot be read, or has changed.
        """
        try:
            yield from self._blocks(answer)
        finally:
            for _, errand in self._ahead.values():
                self._errands.withdraw(errand)
            self._ahead.clear()

    def _blocks(self, answer: ObjectAnswer) -> Iterator[memoryview]:
        at = self._at = answer.start
        self._planned = at + _RANGE_BYTES
        buffer = memoryview(bytearray(_BLOCK_BYTES))[: self._piece]
        while count := answer.read_into(buffer):
            self._at = at + count
            self._meter(count)
            self._plan(at)
            leave = self._begun_in(at, at + count)
            yield buffer[: count if leave is None else leave - at]
            if leave is not None:
                at = self._at = leave
                break
            at += count
        else:
            return
        answer.close()
        while at < self._size:
            self._plan(at)
            data = self._take(at)
            at = self._at = at + len(data)
            yield data

    def _plan(self, at: int) -> None:
        """Offers the next ranges to idle threads, and withdraws those that were overtaken."""
        for start in [start for start in self._ahead if start < at]:
            self._errands.withdraw(self._ahead.pop(start)[1])
        self._planned = max(self._planned, at)
        while self.works and len(self._ahead) < _AHEAD and self._planned < self._size:
            part = _Range(self._planned, min(self._planned + _RANGE_BYTES, self._size))
            errand = Errand(self._place.host, partial(self._fetch, part), part.ended.set)
            self._ahead[part.start] = part, errand
            self._planned = part.end
            self._errands.offer(errand)

    def _begun_in(self, start: int, end: int) -> int | None:
        """Where in a block a range begins that another thread has or fetches.

        The open answer is left only for a server that answered a range before.
        """
        for at, (part, _) in self._ahead.items():
            if start < at <= end and part.begun and self.works and self._is_proved:
                return at
        return None

    def _take(self, at: int) -> memoryview:
        """The bytes of the range that begins at `at`."""
        found = self._ahead.get(at)
        if found is None:
            return self._read(_Range(at, min(at + _RANGE_BYTES, self._size)))
        part, errand = found
        if not self._errands.withdraw(errand):
            part.ended.wait()
            if part.data is not None:
                return part.data
        return self._read(part)

    def _fetch(self, part: _Range) -> None:
        """Fetches a range in another thread. What fails is read again by the reader."""
        part.begun = True
        try:
            part.data = self._read(part)
        except CasyncError as error:
            self.works = self.works and error.fault != ObjectFaultKind.CHANGED
        finally:
            part.ended.set()

    def _read(self, part: _Range) -> memoryview:
        """The bytes of a range.

        Raises:
            UnreachableError: The answer is not this range of the same version, or not whole.
            CasyncError: As `RemoteSource.open`.
        """
        place, start, end = self._place, part.start, part.end
        label = f"{place.source.label}/{place.key}"
        answer = place.source.open(place.key, start, end, same=self._validators)
        assert answer is not None
        with answer:
            is_other = answer.listed.size not in (None, self._size)
            if not answer.is_ranged or answer.start != start or is_other:
                error = UnreachableError(f"{label} changed, or cannot be read in ranges")
                raise failed(error, ObjectFaultKind.CHANGED)
            self._is_proved = True
            data = memoryview(bytearray(end - start + 1))  # room for a byte too many
            came = 0
            while count := answer.read_into(data[came:][: self._piece]):
                came = part.came = came + count
                self._meter(count)
        if came != end - start:
            error = UnreachableError(f"{label} ended within bytes {start} to {end}")
            raise failed(error, ObjectFaultKind.SHORT_BODY)
        return data[:came]
