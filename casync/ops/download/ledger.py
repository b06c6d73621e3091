"""What a runner has done since the last commit, and the row of the job that follows from it.

Everything here changes in a turn of the shared writer, so that counters, cursor and names are in
one commit with the objects that they tell of.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from casync.ids import ChunkId, ManifestId
from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import FetchedPart, pack_chunks
from casync.jobs.job import (
    ActiveObject,
    Counts,
    JobRow,
    JobState,
    TokenLevel,
    WaitingObject,
)
from casync.jobs.origin import Origin
from casync.jobs.validators import Validators
from casync.limits import JOB_WINDOW, SHOWN_WAITING
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, ManifestState
from casync.store.jobs import JobUpdate

__all__ = ["Active", "Ledger"]


class Active:
    """An object that is being fetched. Its thread changes `done` and `size`; others only read.

    Attributes:
        name: The name that it gets.
        done: Bytes of it that are here.
        size: Its size in bytes; None if it is not known.
        started: When its fetching began, in seconds since 1970.
    """

    __slots__ = ("done", "name", "size", "started")

    def __init__(self, name: str, size: int | None, started: float) -> None:
        self.name = name
        self.size = size
        self.done = 0
        self.started = started


class Ledger:
    """The job between two commits.

    Args:
        row: The job as it was claimed.
        now: Seconds since 1970.
        tokens: The level of the throttle.

    Attributes:
        cursor: All items with a lower index are done.
        active: The objects that are being fetched, by index.
        waiting: The objects that wait for their next attempt, by index; -1 is the listing.
        fetched: Bytes that came from the source in this run.
    """

    def __init__(
        self, row: JobRow, now: Callable[[], float], tokens: Callable[[], TokenLevel | None]
    ) -> None:
        self._row = row
        self._now = now
        self._tokens = tokens
        self._done: list[int] = []
        self._counts = Counts()
        self._update = JobUpdate(row)
        self._parts: dict[int, list[FetchedPart]] = {}
        self._batch = Batch()
        self._beyond = set(row.beyond)
        self._parted: set[int] = set()
        self._old_parts = row.cursor + JOB_WINDOW if row.epoch > 1 else 0
        self._sealed_fetched = 0
        self.cursor = row.cursor
        self._counting = threading.Lock()
        self.active: dict[int, Active] = {}
        self.waiting: dict[int, WaitingObject] = {}
        self.fetched = 0

    @property
    def row(self) -> JobRow:
        """The job as of now, of which the store knows what was sealed before the last commit."""
        return self._with_active(self._row.after(self._done, self._counted()))

    def count(self, fetched: int) -> None:
        """Bytes came from the source. Not in a turn."""
        with self._counting:
            self.fetched += fetched

    def finish(self, index: int, name: Name, manifest: ManifestId, origin: Origin) -> None:
        """An object is fetched: its manifest and everything below it was put.

        Args:
            index: The index of its item.
            name: Its name.
            manifest: Its manifest.
            origin: Where it came from.
        """
        self._batch.manifests.append((manifest, ManifestState.FULL, origin.size))
        self._batch.names.append(NameUpdate(name, manifest))
        self._batch.origins.append((name, origin))
        self._settle(index, Counts(finished=1, bytes=origin.size))

    def skip(self, index: int, size: int) -> None:
        """An object is unchanged."""
        self._settle(index, Counts(skipped=1, bytes=size))

    def fail(self, fault: ObjectFault) -> None:
        """An object failed for good."""
        self._update.faults.append(fault)
        self._settle(fault.index, Counts(failed=1))

    def part(
        self,
        index: int,
        validators: Validators,
        size: int | None,
        chunks: Sequence[tuple[bytes, int]],
    ) -> None:
        """The next chunks of a large object were put.

        Args:
            index: The index of its item.
            validators: What its source said about it.
            size: Its size in bytes; None if it is not known.
            chunks: The chunks, each as (id, length).
        """
        self._parted.add(index)
        records = pack_chunks((ChunkId(ident), length) for ident, length in chunks)
        self._parts.setdefault(index, []).append(FetchedPart(validators, size, records))

    def restart(self, index: int) -> None:
        """An object is fetched from its start again; its parts are void."""
        self._parts.pop(index, None)
        if index < self._old_parts or index in self._parted:
            self._parted.discard(index)
            self._update.done.append(index)

    def note_listed(self, count: int) -> None:
        """So many items are known, and there may be more."""
        self._row = replace(self._row, listed=count)

    def list(self, total: int) -> None:
        """All items are known."""
        self._row = replace(self._row, listed=total, total=total)

    def remove(self, count: int) -> None:
        """Names were removed."""
        self._counts += Counts(removed=count)

    def end(self, state: JobState, failure: str = "", code: str = "") -> None:
        """The run ends; `failure` says why it did too early, with the code of that error."""
        self.waiting.clear()
        ended = 0 if state is JobState.RUNNING else int(self._now())
        self._row = replace(self._row, state=state, ended=ended, failure=failure, failure_code=code)

    def seal(self) -> Batch | None:
        """The rows of the next commit; None if nothing changed."""
        counts = self._counted()
        row = self._with_active(self._row.after(self._done, counts))
        update = self._update
        before = update.row
        update.row = row
        if replace(row, tokens=None) == replace(before, tokens=None) and not (
            self._parts or update.faults or update.done or self._batch.names
        ):
            update.row = before
            return None
        update.parts = [(index, part) for index, found in self._parts.items() for part in found]
        batch = self._batch
        batch.job = update
        self._sealed_fetched += counts.fetched - self._counts.fetched
        self._row, self._done, self._counts = row, [], Counts()
        self._update, self._parts, self._batch = JobUpdate(row), {}, Batch()
        return batch

    def _counted(self) -> Counts:
        """What was done since the last commit was sealed."""
        return self._counts + Counts(fetched=self.fetched - self._sealed_fetched)

    def _settle(self, index: int, counts: Counts) -> None:
        self._done.append(index)
        self.restart(index)
        self._counts += counts
        self._beyond.add(index)
        while self.cursor in self._beyond:
            self._beyond.remove(self.cursor)
            self.cursor += 1

    def _with_active(self, row: JobRow) -> JobRow:
        active = tuple(
            ActiveObject(each.name, each.done, each.size, each.started)
            for _, each in sorted(self.active.copy().items())
        )
        waiting = self.waiting.copy()
        first = heapq.nsmallest(SHOWN_WAITING, waiting.values(), key=lambda each: each.until)
        return replace(
            row,
            active=active,
            waiting=tuple(first),
            waiting_count=len(waiting),
            tokens=self._tokens(),
        )
