"""Runs download jobs in tests: over any source, into any store, as often as wanted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from casync.ids import ManifestId
from casync.jobs.backoff import RetryPolicy
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.spec import JobSpec, SourceKind
from casync.objects.chunker import ChunkerParams
from casync.ops.download.options import RunOptions
from casync.ops.download.progress import SILENT_JOB, JobProgress
from casync.ops.download.run import JobbedStore, run_job, start_or_continue
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.job_sources import ItemPlace
from tests.support.preparing import content_of

__all__ = ["PARAMS", "OneSource", "contents", "download", "options", "spec"]

PARAMS = ChunkerParams.from_average(4096)


class OneSource:
    """The `JobSources` of a job with one source."""

    def __init__(self, source: RemoteSource, prefix: str = "", host: str = "host") -> None:
        self.source = source
        self.prefix = prefix
        self.host = host

    def root(self) -> ItemPlace:
        return ItemPlace(self.source, self.prefix, self.host)

    def locate(self, item: Item) -> ItemPlace:
        return ItemPlace(self.source, item.key, self.host)

    def close(self) -> None:
        self.source.close()


def options(*, attempts: int = 10, **changes: Any) -> RunOptions:
    """Options with waits that are nearly nothing."""
    fields: dict[str, Any] = {
        "now": time.time,
        "random": lambda: 0.0,
        "policy": RetryPolicy(attempts),
    }
    return RunOptions(**(fields | changes))


def spec(source: str = "s3://memory", dest: str = "ds/", **changes: Any) -> JobSpec:
    """What a job of a listing does."""
    fields: dict[str, Any] = {"kind": SourceKind.LISTING, "chunker": PARAMS, "max_conns": 4}
    return JobSpec(source, dest, **(fields | changes))


def download(
    store: JobbedStore,
    source: RemoteSource,
    what: JobSpec | None = None,
    *,
    prefix: str = "",
    how: RunOptions | None = None,
    progress: JobProgress = SILENT_JOB,
    given: Iterable[Item] | None = None,
) -> JobRow:
    """Starts a job or continues it."""
    with start_or_continue(store, what or spec(), time.time()) as claim:
        sources = OneSource(source, prefix)
        return run_job(store, claim, sources, how or options(), progress, given=given)


def contents(store: Any, prefix: str = "") -> dict[str, bytes]:
    """The bytes of the newest version of all names."""
    return {
        record.name: content_of(store, ManifestId(record.manifest))
        for record in store.names(prefix)
    }
