"""Jobs: a download of many objects, as its row in the store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, NewType, TypeAlias

import msgspec
from msgspec.structs import replace

from casync.ids import Buffer
from casync.jobs.encoding import decode, encode
from casync.jobs.spec import JobSpec
from casync.limits import JOB_WINDOW, MAX_JOB_CONNECTIONS, MAX_LENGTH, SHOWN_WAITING

__all__ = [
    "ActiveObject",
    "Counts",
    "JobId",
    "JobRow",
    "JobState",
    "TokenLevel",
    "WaitingObject",
    "decode_job",
    "encode_job",
    "make_job_id",
]

JobId = NewType("JobId", str)

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID: Final = re.compile(r"dnl-[0-9a-z]{9}")
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_LENGTH)]


class JobState(StrEnum):
    """What a job does. A running one whose runner is gone is shown as interrupted."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    ABORTED = "aborted"

    @property
    def is_final(self) -> bool:
        """Whether the job does nothing more, and its row never changes."""
        return self is JobState.FINISHED


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job has done.

    Attributes:
        finished: Objects that were fetched.
        skipped: Objects that were unchanged.
        failed: Objects that failed.
        removed: Names that were removed, because their objects are gone.
        bytes: Bytes of the finished and the skipped objects.
        fetched: Bytes that came from the source, those of failed attempts too.
    """

    finished: _Count = 0
    skipped: _Count = 0
    failed: _Count = 0
    removed: _Count = 0
    bytes: _Count = 0
    fetched: _Count = 0

    @property
    def settled(self) -> int:
        """Objects that need nothing more."""
        return self.finished + self.skipped + self.failed

    def __add__(self, other: Counts) -> Counts:
        """Adds two counts."""
        return Counts(
            self.finished + other.finished,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.removed + other.removed,
            self.bytes + other.bytes,
            self.fetched + other.fetched,
        )


class ActiveObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that is being fetched.

    Attributes:
        name: The name that it gets.
        done: Bytes of it that are here.
        size: Its size in bytes, or None if it is not known.
        started: When its fetching began, in seconds since 1970.
    """

    name: str
    done: _Count
    size: _Count | None
    started: float


class WaitingObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that waits for its next attempt.

    Attributes:
        name: The name that it gets; empty for the listing of the source.
        reason: Why the last attempt failed, in one line without secrets.
        until: When the next one is due, in seconds since 1970.
        attempts: Attempts without progress so far.
    """

    name: str
    reason: str
    until: float
    attempts: _Count = 0


class TokenLevel(msgspec.Struct, frozen=True):
    """The level of the token bucket that limits the rate, so that a restart grants no burst.

    Attributes:
        tokens: Bytes that may be fetched at once; negative while a debt is paid back.
        time: When that was so, in seconds since 1970.
    """

    tokens: float
    time: float


class JobRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job, written whole with each commit of its runner.

    Attributes:
        id: Its id: `dnl-` and nine digits or lower-case letters.
        spec: What it does, without secrets.
        digest: The digest of its whole specification.
        created: When it was made, in seconds since 1970.
        sealed: Its `JobSecrets`, encrypted; empty if it has none.
        state: What it does now.
        started: When it first ran, or 0.
        ended: When it finished or was stopped, or 0.
        epoch: Goes up with each runner; only the runner with the newest may change the row.
        listed: Items that are known so far.
        total: All of its items, or -1 until all are known.
        cursor: All items with a lower index are done.
        beyond: The indices above the cursor that are done, too, in order.
        counts: What it has done.
        active: Objects that were being fetched at the last commit.
        waiting: The first objects that waited for their next attempt at the last commit.
        waiting_count: How many waited.
        tokens: The level of its token bucket, or None without a limit.
        failure: Why it, or its last run, ended before all was done, in one line; empty if not.
        failure_code: The code of the error that ended it then (`casync.errors`); empty if none did.
    """

    id: str
    spec: JobSpec
    digest: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    created: int
    sealed: bytes = b""
    state: JobState = JobState.QUEUED
    started: int = 0
    ended: int = 0
    epoch: _Count = 0
    listed: _Count = 0
    total: Annotated[int, msgspec.Meta(ge=-1, le=MAX_LENGTH)] = -1
    cursor: _Count = 0
    beyond: Annotated[tuple[int, ...], msgspec.Meta(max_length=JOB_WINDOW)] = ()
    counts: Counts = Counts()
    active: Annotated[tuple[ActiveObject, ...], msgspec.Meta(max_length=MAX_JOB_CONNECTIONS)] = ()
    waiting: Annotated[tuple[WaitingObject, ...], msgspec.Meta(max_length=SHOWN_WAITING)] = ()
    waiting_count: _Count = 0
    tokens: TokenLevel | None = None
    failure: str = ""
    failure_code: str = ""

    def __post_init__(self) -> None:
        """Refuses a row that breaks the invariants of jobs.

        Every item that is done is counted once: finished + skipped + failed = cursor + beyond.
        """
        if not _ID.fullmatch(self.id):
            raise ValueError("not the id of a job")
        last = self.cursor
        for index in self.beyond:
            if not last < index < self.cursor + JOB_WINDOW:
                raise ValueError("items above the cursor are out of order or bounds")
            last = index
        done = self.cursor + len(self.beyond)
        if self.counts.settled != done:
            raise ValueError(f"{self.counts.settled} items are counted, {done} are done")
        if self.total >= 0 and max(done, last + bool(self.beyond)) > self.total:
            raise ValueError("more items are done than there are")

    def after(self, done: Iterable[int], counts: Counts) -> JobRow:
        """The row after some items are done.

        Args:
            done: Their indices, none of which is done, within `JOB_WINDOW` of the cursor.
            counts: What was done, to be added: as many items as `done` has.

        Raises:
            ValueError: An item is done already, or the counts do not fit.
        """
        beyond = set(self.beyond)
        cursor = self.cursor
        for index in done:
            if index < self.cursor or index in beyond:
                raise ValueError(f"item {index} is done already")
            beyond.add(index)
        while cursor in beyond:
            beyond.remove(cursor)
            cursor += 1
        return replace(
            self, cursor=cursor, beyond=tuple(sorted(beyond)), counts=self.counts + counts
        )


def make_job_id(random: bytes) -> JobId:
    """An id from at least 8 random bytes."""
    number = int.from_bytes(random, "big")
    digits = []
    for _ in range(9):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return JobId("dnl-" + "".join(digits))


def encode_job(row: JobRow) -> bytes:
    """The bytes of a row."""
    return encode(row)


def decode_job(data: Buffer) -> JobRow:
    """Reads a row; MalformedError if it is not one, or breaks the invariants of jobs."""
    return decode(data, JobRow)
