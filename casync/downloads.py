"""Downloads objects of sources as jobs of a store: the part of `api` for jobs."""

from __future__ import annotations

import dataclasses
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, Final, Self

from blake3 import blake3
from msgspec.structs import replace

from casync.errors import CasyncError, NotFoundError, TimedOutError
from casync.fs.os_errors import read_error
from casync.fs.paths import StrPath, as_path
from casync.jobs.address import parse_address, redacted
from casync.jobs.fault import ObjectFault
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.object_list import ListedItem, read_object_list
from casync.jobs.request import given_items, is_listed, specify
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.template import address_template
from casync.limits import JOB_CONNECTIONS, MIB
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.ops.download.forecast import PlannedObject, forecast_job
from casync.ops.download.options import RunOptions
from casync.ops.download.progress import SILENT_JOB, JobProgress
from casync.ops.download.run import run_job, start_or_continue
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.options import SourceOptions
from casync.store.jobs import JobClaim, JobStore, faults_of
from casync.store.lmdb.store import LmdbStore

__all__ = ["DownloadOptions", "DownloadRequest", "Job", "download", "run_claimed"]

_BLOCK: Final = MIB


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How to download.

    Attributes:
        description: A text for people; by default the source and the destination.
        timeout: Seconds for an answer to begin, and without enough bytes of its body.
        max_conns: Requests that run at the same time.
        limit_bph: Bytes per hour; 0 for no limit.
        limit: Bytes per second; 0 for no limit.
        headers: Fields of each http request to the server of the source. Kept encrypted.
        flatten: Make names of last components only.
        sync: Remove names whose objects are gone at the source, after everything else.
        max_delete: Remove nothing if more names than this would be removed; None for no bound.
        allow_empty: Take a source without objects for what it is, instead of a mistake.
        part: Download this part of the objects, from 1 to `shares`.
        shares: The number of parts.
        chunker: Chunk sizes.
    """

    description: str = ""
    timeout: float = 60.0
    max_conns: int = JOB_CONNECTIONS
    limit_bph: int = 0
    limit: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    flatten: bool = False
    sync: bool = False
    max_delete: int | None = None
    allow_empty: bool = False
    part: int = 1
    shares: int = 1
    chunker: ChunkerParams = DEFAULT_PARAMS


class DownloadRequest:
    """A download that was asked for. Use in a with block.

    Args:
        source: The address of an object; with `/` or `*` at its end, of everything below it, or
            that begins so; with ranges like `{001..100}`, of all objects of the template.
        dest: The name of the object, or with a slash at its end, the folder of names.
        options: How to download.
        object_list: A list of objects below `source`, in one of the forms of
            `casync.jobs.object_list`. It is copied.

    Attributes:
        wanted: What was asked for, as `casync.jobs.request.specify` takes it.
        spec: The specification of the job.

    Raises:
        UsageError: Something of that is invalid.
        CasyncError: The list cannot be read.
    """

    def __init__(
        self,
        source: str,
        dest: str,
        options: DownloadOptions = DownloadOptions(),
        object_list: StrPath | BinaryIO | None = None,
    ) -> None:
        fields = {each.name: getattr(options, each.name) for each in dataclasses.fields(options)}
        wanted = JobSpec(source, dest, SourceKind.OBJECT, **fields)
        self._list = None if object_list is None else _ObjectList(object_list)
        try:
            spec = specify(wanted, b"" if self._list is None else self._list.digest)
        except BaseException:
            self.close()
            raise
        if not spec.description:
            what = "multi-download" if self._list is not None else redacted(source)
            spec = replace(spec, description=f"{what} -> {spec.dest or '/'}")
        self.spec = spec
        self.wanted = replace(wanted, description=spec.description)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the copy of the list."""
        if self._list is not None:
            self._list.close()

    def items(self) -> Iterator[Item]:
        """The items of the list; none without a list."""
        return given_items(self.spec, self.entries())

    def entries(self) -> Iterator[ListedItem]:
        """The list as it was given; empty without one."""
        return iter(()) if self._list is None else read_object_list(self._list.blocks())

    def forecast(
        self, jobs: JobStore, access: SourceOptions = SourceOptions()
    ) -> Iterator[PlannedObject]:
        """What the job would do, without fetching an object.

        Args:
            jobs: The jobs of the store.
            access: How to reach the source.

        Raises:
            CasyncError: As `casync.ops.download.forecast.forecast_job`.
        """
        with ItemSources(self.spec, access) as sources:
            self._open(sources)
            yield from forecast_job(self.spec, jobs, sources, self.items)

    def claim(self, store: LmdbStore, access: SourceOptions = SourceOptions()) -> JobClaim:
        """Makes the job, or finds an unfinished one that does the same, and claims it.

        Args:
            store: The store.
            access: How to reach the source.

        Raises:
            LockedError: Another process runs it.
            CasyncError: The source cannot be opened, or the store cannot be written.
        """
        with ItemSources(self.spec, access) as sources:
            self._open(sources)
        return start_or_continue(store, self.spec, time.time())

    def _open(self, sources: ItemSources) -> None:
        """Opens the source, so that a mistake in it leaves no job. Sends no request.

        The folders of a template of this machine may be there or not, each for itself.
        """
        address = parse_address(self.spec.source)
        if self.spec.kind is not SourceKind.TEMPLATE or is_listed(self.spec):
            sources.root()
        elif not address.is_local:
            sources.locate(Item(address_template(address)[0], "", is_url=True))


def run_claimed(
    store: LmdbStore,
    claim: JobClaim,
    access: SourceOptions = SourceOptions(),
    progress: JobProgress = SILENT_JOB,
    items: Callable[[], Iterator[Item]] | None = None,
) -> JobRow:
    """Runs a job until it has finished, or is asked to stop.

    Args:
        store: The store.
        claim: The claim of the job, which the caller releases.
        access: How to reach the source.
        progress: Is told of it.
        items: The items of a given list, which only the first run of a job needs.

    Returns:
        The job afterwards.

    Raises:
        CasyncError: As `casync.ops.download.run.run_job`.
    """
    options = RunOptions(now=time.time, random=random.random)
    with ItemSources(claim.spec, access) as sources:
        given = None if items is None or not claim.spec.is_list else items()
        return run_job(store, claim, sources, options, progress, given=given)


class Job:
    """A download that runs in a thread of this process. Made by `download`.

    A process that ends takes the thread with it; the same download then goes on where it was.

    Attributes:
        id: The id of the job.
    """

    def __init__(
        self,
        request: DownloadRequest,
        store: LmdbStore,
        access: SourceOptions,
        progress: JobProgress,
    ) -> None:
        with ExitStack() as stack:
            stack.enter_context(request)
            claim = stack.enter_context(request.claim(store, access))
            self._stack = stack.pop_all()
        self.id = claim.row.id
        self._store = store
        self._error: CasyncError | None = None

        def run() -> None:
            with self._stack:
                try:
                    run_claimed(store, claim, access, progress, request.items)
                except CasyncError as error:
                    self._error = error

        self._thread = threading.Thread(target=run, name="job", daemon=True)
        self._thread.start()

    @property
    def row(self) -> JobRow:
        """The job as the store has it: its state, its counts, what it is fetching.

        Raises:
            NotFoundError: It was removed.
        """
        row = self._store.jobs.find(self.id)
        if row is None:
            raise NotFoundError(f"there is no job {self.id}")
        return row

    def wait(self, timeout: float | None = None) -> JobRow:
        """Waits until the job has ended, and returns it. `row.counts.failed` objects failed.

        Args:
            timeout: Seconds; None to wait as long as it takes.

        Raises:
            TimedOutError: It has not ended by then, and goes on.
            CasyncError: It ended early, as `casync.ops.download.run.run_job` does.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimedOutError(f"job {self.id} has not ended after {timeout} s")
        if self._error is not None:
            raise self._error
        return self.row

    def errors(self) -> Iterator[ObjectFault]:
        """The objects that failed so far."""
        return faults_of(self._store.jobs, self.id)

    def stop(self) -> None:
        """Asks the job to stop; `wait` waits for that. The same download goes on where it was."""
        self._store.jobs.request_stop(self.id)


def download(
    source: str,
    dest: str,
    store: LmdbStore,
    options: DownloadOptions = DownloadOptions(),
    *,
    object_list: StrPath | BinaryIO | None = None,
    access: SourceOptions = SourceOptions(),
    progress: JobProgress = SILENT_JOB,
) -> Job:
    """Starts to download objects into `store`, or goes on with an unfinished download.

    Args:
        source: As of `DownloadRequest`.
        dest: As of `DownloadRequest`.
        store: The store, which must stay open until the job has ended.
        options: How to download.
        object_list: As of `DownloadRequest`.
        access: How to reach the source.
        progress: Is told of it, by the thread of the job.

    Returns:
        The job, which runs.

    Raises:
        UsageError: The request is invalid.
        LockedError: Another process runs the same download.
        CasyncError: The list cannot be read, the source cannot be opened, or the store cannot be
            written.
    """
    return Job(DownloadRequest(source, dest, options, object_list), store, access, progress)


class _ObjectList:
    """A copy of a list of objects, in a file without a name."""

    def __init__(self, source: StrPath | BinaryIO) -> None:
        digest = blake3()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            with ExitStack() as stack:
                stream = source
                if isinstance(stream, str | os.PathLike):
                    stream = stack.enter_context(as_path(stream).open("rb"))
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    self._file.write(block)
        except OSError as error:
            self._file.close()
            path = f" {source}" if isinstance(source, str | os.PathLike) else ""
            raise read_error(error, f"the object list{path}") from error
        self.digest = digest.digest()

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, from the first on."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            yield block

    def close(self) -> None:
        """Deletes it."""
        self._file.close()
