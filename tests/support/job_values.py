"""Rows of jobs and faults for tests."""

from __future__ import annotations

from typing import Any

from casync.jobs.fault import ObjectFault, ObjectFaultKind, status_text
from casync.jobs.job import ActiveObject, Counts, JobRow, JobState
from casync.jobs.spec import JobSpec, SourceKind

SOURCE = "gs://lpr-vision/imagenet/imagenet_train-{000000..000140}.tgz"
IDENT = "dnl-4k3v9x0ab"


def job_spec(**changed: Any) -> JobSpec:
    usual: dict[str, Any] = {
        "source": SOURCE,
        "dest": "local-lpr/imagenet/",
        "kind": SourceKind.TEMPLATE,
        "description": f"{SOURCE} -> local-lpr/imagenet/",
    }
    return JobSpec(**(usual | changed))


def job_row(
    *, finished: int = 0, skipped: int = 0, failed: int = 0, removed: int = 0, **changed: Any
) -> JobRow:
    """A running job of 141 objects."""
    fetched = changed.pop("fetched", 0)
    spec = changed.pop("spec", None) or job_spec()
    counts = Counts(finished, skipped, failed, removed, changed.pop("bytes", fetched), fetched)
    usual: dict[str, Any] = {
        "id": IDENT,
        "digest": bytes(32),
        "created": 1_700_000_000,
        "state": JobState.RUNNING,
        "started": 1_700_000_001,
        "listed": 141,
        "total": 141,
        "cursor": finished + skipped + failed,
        "counts": counts,
    }
    return JobRow(spec=spec, **(usual | changed))


def active_object(name: str, done: int, size: int | None, started: float = 1.0) -> ActiveObject:
    return ActiveObject(name, done, size, started)


def not_found(index: int) -> ObjectFault:
    name = f"local-lpr/imagenet/imagenet_train-{index:06}.tgz"
    return ObjectFault(
        index, name, "gs://…", ObjectFaultKind.HTTP, status_text(404), 1, 1, 1, status=404
    )
