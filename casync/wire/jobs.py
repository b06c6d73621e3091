"""The JSON documents of jobs (docs/PROTOCOL.md shows them), and the values that they stand for.

The keys of counts, times and objects are those of AIStore's downloader. Both sides use this module,
as `documents`; requests and answers are untrusted, so the types here check every field.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from casync.errors import RemoteProtocolError, UnsupportedError, UsageError
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import ActiveObject, Counts, JobRow, JobState, WaitingObject
from casync.jobs.spec import JobSpec
from casync.limits import MAX_JOB_CONNECTIONS, PAGE_ITEMS, SHOWN_WAITING
from casync.wire.documents import Length, Seconds, Text, encode_document
from casync.wire.job_request import (
    MAX_SOURCE,
    Address,
    JobRequest,
    WireName,
    job_request,
    job_spec,
)

__all__ = [
    "EVENTS_TYPE",
    "HEARTBEAT",
    "ActiveItem",
    "FaultItem",
    "FaultPage",
    "JobHash",
    "JobItem",
    "JobOutcome",
    "JobPage",
    "JobStateText",
    "encode_event",
    "fault_item",
    "job_item",
    "job_row",
    "object_fault",
    "WaitingItem",
    "cut_text",
    "outcome_of",
]

EVENTS_TYPE: Final = "text/event-stream"
HEARTBEAT: Final = b": \n\n"
"""A comment of a stream of events: the server lives, and nothing has changed."""

_MAX_TEXT: Final = 4096
_MAX_CODE: Final = 64

JobHash = Annotated[str, msgspec.Meta(pattern="^dnl-[0-9a-z]{9}$", max_length=13)]
JobStateText: TypeAlias = Literal["queued", "running", "interrupted", "finished", "aborted"]
"""What a job does. A running one without a runner is interrupted."""

JobOutcome: TypeAlias = Literal["clean", "partial", "failed"]
"""How a finished job ended: `failed` is one that got nothing."""


class ActiveItem(msgspec.Struct, frozen=True):
    """An object that is being fetched. `total` is null if its size is not known."""

    name: WireName
    downloaded: Length
    total: Length | None
    start_time: Seconds


class WaitingItem(msgspec.Struct, frozen=True):
    """An object that waits for its next attempt; the attributes are those of `WaitingObject`."""

    name: WireName
    reason: Text
    next_time: Seconds
    attempts: Length


class JobItem(msgspec.Struct, frozen=True):
    """A job.

    Attributes:
        id: Its id.
        description: A text for people.
        state: What it does.
        outcome: How it ended; null before.
        failure: Why it ended before all was done, or null.
        failure_code: The code of the error that ended it then, or null.
        created_time: When it was made, in seconds since 1970.
        started_time: When it first ran, or null.
        finished_time: When it finished or was aborted, or null.
        finished_cnt: Objects that are here, skipped ones included.
        skipped_cnt: Objects that were unchanged.
        error_cnt: Objects that failed.
        removed_cnt: Names that were removed.
        scheduled_cnt: Objects that are known so far.
        total: All objects, or -1 while that is not known.
        all_dispatched: Whether all objects are known.
        aborted: Whether it was stopped.
        bytes: Bytes of the objects that are here.
        fetched_bytes: Bytes that came from the source.
        current_tasks: What is being fetched.
        waiting: The first objects that wait for another attempt.
        waiting_cnt: How many wait.
        request: What it shall do.
    """

    id: JobHash
    description: Text
    state: JobStateText
    outcome: JobOutcome | None
    failure: Text | None
    created_time: Seconds
    started_time: Seconds | None
    finished_time: Seconds | None
    finished_cnt: Length
    skipped_cnt: Length
    error_cnt: Length
    removed_cnt: Length
    scheduled_cnt: Length
    total: Annotated[int, msgspec.Meta(ge=-1)]
    all_dispatched: bool
    aborted: bool
    bytes: Length
    fetched_bytes: Length
    current_tasks: Annotated[list[ActiveItem], msgspec.Meta(max_length=MAX_JOB_CONNECTIONS)]
    request: JobRequest
    waiting: Annotated[list[WaitingItem], msgspec.Meta(max_length=SHOWN_WAITING)] = []
    waiting_cnt: Length = 0
    failure_code: Annotated[str, msgspec.Meta(max_length=_MAX_CODE)] | None = None


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, the oldest first; `more`: further ones follow."""

    jobs: Annotated[list[JobItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool


class FaultItem(msgspec.Struct, frozen=True):
    """An object that failed; the attributes are those of `ObjectFault`. `status` may be null."""

    index: Length
    name: WireName
    url: Address
    kind: ObjectFaultKind
    error: Text
    status: Annotated[int, msgspec.Meta(ge=1, le=999)] | None
    attempts: Length
    first_time: Seconds
    last_time: Seconds


class FaultPage(msgspec.Struct, frozen=True):
    """Objects that failed, ordered by index; `more`: further ones follow."""

    errors: Annotated[list[FaultItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool


def encode_event(item: JobItem) -> bytes:
    """An event of the stream: a job as it is now."""
    return b"event: job\ndata: " + encode_document(item) + b"\n\n"


def job_item(row: JobRow, *, is_running: bool) -> JobItem:
    """The document of a job.

    Args:
        row: The job.
        is_running: Whether its runner lives.
    """
    counts = row.counts
    return JobItem(
        id=row.id,
        description=cut_text(row.spec.description),
        state=_state(row, is_running=is_running),
        outcome=outcome_of(row),
        failure=cut_text(row.failure) or None,
        created_time=row.created,
        started_time=row.started or None,
        finished_time=row.ended or None,
        finished_cnt=counts.finished + counts.skipped,
        skipped_cnt=counts.skipped,
        error_cnt=counts.failed,
        removed_cnt=counts.removed,
        scheduled_cnt=row.listed,
        total=row.total,
        all_dispatched=row.total >= 0,
        aborted=row.state is JobState.ABORTED,
        bytes=counts.bytes,
        fetched_bytes=counts.fetched,
        current_tasks=[
            ActiveItem(each.name, each.done, each.size, int(each.started)) for each in row.active
        ],
        request=_shown(row.spec),
        waiting=[
            WaitingItem(each.name, cut_text(each.reason), int(each.until), each.attempts)
            for each in row.waiting
        ],
        waiting_cnt=row.waiting_count,
        failure_code=row.failure_code[:_MAX_CODE] or None,
    )


def _shown(spec: JobSpec) -> JobRequest:
    """What a job does, without secrets and cut to the bounds of the document."""
    shown = job_request(spec.without_secrets())
    return replace(shown, source=shown.source[:MAX_SOURCE], description=cut_text(shown.description))


def _state(row: JobRow, *, is_running: bool) -> JobStateText:
    match row.state:
        case JobState.QUEUED:
            return "queued"
        case JobState.FINISHED:
            return "finished"
        case JobState.ABORTED:
            return "aborted"
        case JobState.RUNNING:
            return "running" if is_running else "interrupted"


def outcome_of(row: JobRow) -> JobOutcome | None:
    """How a finished job ended; None for others."""
    if row.state is not JobState.FINISHED:
        return None
    if not row.counts.failed:
        return "clean"
    return "partial" if row.counts.finished or row.counts.skipped else "failed"


def job_row(item: JobItem) -> JobRow:
    """The job that a server tells of; a running one may be interrupted, as `item.state` says.

    Raises:
        RemoteProtocolError: There is no such job.
    """
    states = {"interrupted": JobState.RUNNING}
    try:
        if item.skipped_cnt > item.finished_cnt:
            raise ValueError("more objects were skipped than are here")
        spec = replace(job_spec(item.request), served=True)
        counts = Counts(
            finished=item.finished_cnt - item.skipped_cnt,
            skipped=item.skipped_cnt,
            failed=item.error_cnt,
            removed=item.removed_cnt,
            bytes=item.bytes,
            fetched=item.fetched_bytes,
        )
        return JobRow(
            id=item.id,
            spec=spec,
            digest=bytes(32),
            created=item.created_time,
            state=states.get(item.state) or JobState(item.state),
            started=item.started_time or 0,
            ended=item.finished_time or 0,
            listed=item.scheduled_cnt,
            total=item.total,
            cursor=counts.settled,
            counts=counts,
            active=tuple(
                ActiveObject(each.name, each.downloaded, each.total, float(each.start_time))
                for each in item.current_tasks
            ),
            waiting=tuple(
                WaitingObject(each.name, each.reason, float(each.next_time), each.attempts)
                for each in item.waiting
            ),
            waiting_count=item.waiting_cnt,
            failure=item.failure or "",
            failure_code=item.failure_code or "",
        )
    except (UsageError, UnsupportedError, ValueError) as error:
        raise RemoteProtocolError(f"an answer with a bad job: {error}") from error


def fault_item(fault: ObjectFault) -> FaultItem:
    """The document of an object that failed."""
    return FaultItem(
        index=fault.index,
        name=fault.name,
        url=fault.url[:MAX_SOURCE],
        kind=fault.kind,
        error=cut_text(fault.message),
        status=fault.status or None,
        attempts=fault.attempts,
        first_time=fault.first,
        last_time=fault.last,
    )


def object_fault(item: FaultItem) -> ObjectFault:
    """The object of a document that failed."""
    return ObjectFault(
        index=item.index,
        name=item.name,
        url=item.url,
        kind=item.kind,
        message=item.error,
        attempts=item.attempts,
        first=item.first_time,
        last=item.last_time,
        status=item.status or 0,
    )


def cut_text(text: str) -> str:
    """A text for people within the bound of its field."""
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
