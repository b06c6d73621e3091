"""The port of jobs: downloads of many objects, which outlive the processes that run them.

A job is a specification, a list of items unless they follow from the specification, and how far its
runner is. A runner claims the job, and its progress moves in the commits that publish what it
fetched (`Batch.job`): names, counters and cursor agree after any crash. The claim ends with the
process; each claim raises the job's epoch, and a commit of an earlier epoch is refused whole. A
running job that no process has claimed is interrupted, and can be claimed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import FetchedPart, HalfFetched
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec
from casync.names.name import Name

__all__ = ["JobClaim", "JobStore", "JobUpdate", "Jobs", "faults_of"]


@dataclass
class JobUpdate:
    """The progress of a job, as part of a commit.

    The commit fails with LostRaceError unless the job is running in the epoch of `row`.

    Attributes:
        row: The job as it is afterwards. Its specification stays, and nothing that was done is
            undone. A finished or aborted one ends the claim; a finished one has done all its items.
        faults: Objects that failed for good; each replaces an earlier fault of its index.
        done: Indices of objects whose parts are dropped: they are fetched, or start over.
        parts: The next part of half-fetched objects, each with the object's index. They come after
            `done`. The chunks are in this batch or an earlier one of the same process.
    """

    row: JobRow
    faults: list[ObjectFault] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    parts: list[tuple[int, FetchedPart]] = field(default_factory=list)


class JobClaim(Protocol):
    """The right to run a job. It ends with `release`, with a with block, or with the process."""

    @property
    def row(self) -> JobRow:
        """The job when it was claimed: running, in the epoch of this claim."""
        ...

    @property
    def spec(self) -> JobSpec:
        """Its specification with its secrets."""
        ...

    def stop_requested(self) -> bool:
        """Whether the runner must stop: it was asked to, or another claim has followed."""
        ...

    def release(self) -> None:
        """Lets another runner claim the job. May be called again."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class Jobs(Protocol):
    """Jobs as people see them, of a store or of a server.

    What changes them raises NoSpaceError and WriteError, and for a server RemoteError.
    """

    def find(self, ident: str) -> JobRow | None:
        """The job with this id."""
        ...

    def matching(self, prefix: str) -> list[JobRow]:
        """The jobs whose ids begin so, the oldest first."""
        ...

    def rows(self) -> Iterator[JobRow]:
        """All jobs, the oldest first."""
        ...

    def is_running(self, ident: str) -> bool:
        """Whether a runner has claimed the job and lives."""
        ...

    def request_stop(self, ident: str) -> JobRow:
        """Asks the runner of a job to stop. Without a runner, the job is aborted at once.

        Returns:
            The job afterwards; one that has ended stays as it is.

        Raises:
            NotFoundError: There is no such job.
        """
        ...

    def remove(self, ident: str) -> None:
        """Removes a job with its items, faults and parts. Names and objects stay.

        Raises:
            NotFoundError: There is no such job.
            UsageError: It has a runner.
        """
        ...

    def faults(self, ident: str, after: int = -1, limit: int = 1000) -> list[ObjectFault]:
        """The first `limit` objects that failed, of those with an index above `after`."""
        ...


class JobStore(Jobs, Protocol):
    """The jobs of one store. Safe for threads.

    What writes raises NoSpaceError and WriteError as `ObjectStore.commit` does.
    """

    def create(self, spec: JobSpec, now: int) -> JobRow:
        """Makes a job that is queued, unless an unfinished one has the same digest.

        That one continues with this specification: its limits, its description, its secrets. If it
        has a runner, it stays as it is.

        Args:
            spec: The specification with its secrets, which are sealed.
            now: Seconds since 1970.

        Returns:
            The job. Its specification has no secrets, here and wherever a row is returned.

        Raises:
            NoSpaceError: There are too many jobs, or the store's quota is reached (QuotaError).
        """
        ...

    def claim(self, ident: str, *, restart: bool = False) -> JobClaim:
        """Claims an unfinished job, which is running from now on.

        Args:
            ident: The job.
            restart: Withdraw a request to stop that an earlier runner did not live to see: a person
                wants the job to run.

        Raises:
            NotFoundError: There is no such job, or its secrets cannot be read.
            UsageError: The job is finished.
            LockedError: Another runner has claimed it.
        """
        ...

    def add_items(self, claim: JobClaim, block: int, items: Sequence[Item]) -> None:
        """Lists items of a job. Durable on return.

        Args:
            claim: The runner's.
            block: Number of the block, whose first item has the index block * JOB_BLOCK_ITEMS. One
                that is here is replaced and those behind it are dropped, unless an item of them is
                done.
            items: JOB_BLOCK_ITEMS of them, or fewer in the last block.

        Raises:
            LostRaceError: The claim has ended.
            UsageError: The items need more room than a block has.
            QuotaError: The store's quota is reached.
        """
        ...

    def items(self, ident: str, from_index: int = 0) -> Iterator[Item]:
        """The items that are listed so far, from an index on. Holds one block in memory.

        The items of a finished job may be gone.

        Raises:
            NotFoundError: They are sealed, and cannot be opened.
            DamagedStoreError: Items of a complete list are missing.
        """
        ...

    def parts(self, ident: str, index: int) -> HalfFetched | None:
        """What is here of an object; None if that is nothing, or does not fit together."""
        ...

    def origin(self, name: Name) -> Origin | None:
        """Where the newest version of a name came from, if it was downloaded."""
        ...

    def origins_of(self, names: Sequence[Name]) -> list[Origin | None]:
        """As `origin` for many names at one moment, in order. An empty name has none."""
        ...

    def origins(self, prefix: str = "") -> Iterator[tuple[Name, Origin]]:
        """The names that begin so and have an origin, ordered by name."""
        ...


def faults_of(jobs: Jobs, ident: str) -> Iterator[ObjectFault]:
    """All objects of a job that failed, in order, one page in memory."""
    after = -1
    while page := jobs.faults(ident, after):
        yield from page
        after = page[-1].index
