"""The jobs of a server: makes, lists, stops, starts and removes downloads that it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Final
from urllib.parse import urlencode

from msgspec.structs import replace

from casync.errors import NotFoundError, RemoteProtocolError, UsageError
from casync.jobs.fault import ObjectFault
from casync.jobs.job import JobRow
from casync.jobs.object_list import ListedItem
from casync.jobs.spec import JobSpec
from casync.limits import JOB_BLOCK_ITEMS, KIB, MAX_JOB_REQUEST_BYTES, MAX_JOBS, PAGE_ITEMS
from casync.remote.server.client import RemoteClient
from casync.remote.server.message import Request
from casync.store.job_rules import is_job_id
from casync.wire.documents import JSON_TYPE, decode_document, encode_document
from casync.wire.job_plan import JobPlan
from casync.wire.job_request import JobObjects, ObjectItem, encode_list, job_request, object_items
from casync.wire.jobs import FaultPage, JobItem, JobPage, JobStateText, job_row, object_fault

__all__ = ["JobsClient"]

_JOBS: Final = "/v1/jobs"
_PART_BYTES: Final = 256 * KIB
"""Bytes of a list from which on it goes on in another request: a busy server, too, takes each
within the seconds that a client waits."""


class JobsClient(RemoteClient):
    """A `RemoteClient` that is also the `Jobs` of its server.

    Requests are retried when an answer is lost, but for `remove`.
    """

    @cached_property
    def _states(self) -> dict[str, JobStateText]:
        """What each job did when it was last seen; its row does not tell if its runner lives."""
        return {}

    def create(
        self, wanted: JobSpec, entries: Iterable[ListedItem] = (), list_digest: bytes = b""
    ) -> JobRow:
        """Makes a job, or lets an unfinished one with the same digest go on.

        Args:
            wanted: What the user asks for, with its secrets and with any kind, as
                `casync.jobs.request.specify` takes it. The server does that.
            entries: The list of objects, if one is given. It is sent in parts.
            list_digest: A digest of the list; empty without one.

        Raises:
            UsageError: The list is malformed, or an entry is too long.
            DeniedError: The server runs no jobs, or does not open this source.
            NoSpaceError, RemoteError: It cannot take the job.
        """
        asked = replace(job_request(wanted), kind=None, list_hash=list_digest.hex() or None)
        body = encode_document(asked)
        row = self._changed(Request(_JOBS, [JSON_TYPE], body, JSON_TYPE, writing=True))
        if not list_digest or row.total >= 0 or row.listed:
            return row
        share = (each for at, each in enumerate(entries) if wanted.part_of(at) == wanted.part)
        for part in _parts(share):
            body = encode_document(part)
            if len(body) > MAX_JOB_REQUEST_BYTES:
                raise UsageError(
                    f"the objects from {part.first} on of the list are too long for a server",
                    next_step="Download here, without --server.",
                )
            target = f"{_JOBS}/{row.id}/objects"
            row = self._changed(Request(target, [JSON_TYPE], body, JSON_TYPE, writing=True))
        return row

    def plan(self, wanted: JobSpec, entries: Iterable[ListedItem] = ()) -> JobPlan:
        """What a job would do with its first objects. Makes none.

        Args:
            wanted: As of `create`.
            entries: As of `create`. The first ones are sent.

        Raises:
            UsageError: The list is malformed, or its first entries are too long.
            DeniedError, RemoteError, CasyncError: As `create`; the source cannot be listed.
        """
        share = (each for at, each in enumerate(entries) if wanted.part_of(at) == wanted.part)
        objects = object_items(islice(share, PAGE_ITEMS + 1))
        asked = replace(job_request(wanted), kind=None, objects=objects)
        if objects:  # they are those of its share
            asked = replace(asked, part=1, shares=1)
        body = encode_document(asked)
        if len(body) > MAX_JOB_REQUEST_BYTES:
            raise UsageError("the entries of the list are too long for a plan by a server")
        reply = self._read(Request(f"{_JOBS}/plan", [JSON_TYPE], body, JSON_TYPE))
        return self._told(decode_document, reply.body, JobPlan)

    def start(self, ident: str) -> JobRow:
        """Lets an unfinished job go on; NotFoundError if there is none."""
        return self._changed(self._post(ident, "start"))

    def find(self, ident: str) -> JobRow | None:
        """As `Jobs.find`."""
        if not is_job_id(ident):
            return None
        try:
            return self._row(self._document(f"{_JOBS}/{ident}", JobItem))
        except NotFoundError:
            return None

    def matching(self, prefix: str) -> list[JobRow]:
        """As `Jobs.matching`."""
        if is_job_id(prefix):
            row = self.find(prefix)
            return [] if row is None else [row]
        return [row for row in self.rows() if row.id.startswith(prefix)]

    def rows(self) -> Iterator[JobRow]:
        """As `Jobs.rows`."""
        seen: set[str] = set()
        query = ""
        while True:
            page = self._document(f"{_JOBS}{query}", JobPage)
            for item in page.jobs:
                if item.id in seen or len(seen) >= MAX_JOBS:
                    raise RemoteProtocolError(f"{self.origin} sends a list of jobs without an end")
                seen.add(item.id)
                yield self._row(item)
            if not self._listings.goes_on(page.more, page.jobs):
                return
            query = f"?{urlencode({'after': page.jobs[-1].id})}"

    def is_running(self, ident: str) -> bool:
        """As `Jobs.is_running`, when the job was last seen."""
        if ident not in self._states:
            self.find(ident)
        return self._states.get(ident) == "running"

    def request_stop(self, ident: str) -> JobRow:
        """As `Jobs.request_stop`."""
        return self._changed(self._post(ident, "stop"))

    def remove(self, ident: str) -> None:
        """As `Jobs.remove`; RemoteError if it has a runner."""
        request = Request(f"{_JOBS}/{ident}", [JSON_TYPE], method="DELETE", writing=True)
        reply = self._read_once(request, self._patience.retry())
        self._told(decode_document, reply.body, JobItem)

    def faults(self, ident: str, after: int = -1, limit: int = 1000) -> list[ObjectFault]:
        """As `Jobs.faults`."""
        query = urlencode({"after": after, "limit": limit})
        page = self._document(f"{_JOBS}/{ident}/errors?{query}", FaultPage)
        found = [object_fault(item) for item in page.errors]
        for fault in found:
            if fault.index <= after:
                raise RemoteProtocolError(f"{self.origin} sends errors that are out of order")
            after = fault.index
        return found

    def _post(self, ident: str, verb: str) -> Request:
        return Request(f"{_JOBS}/{ident}/{verb}", [JSON_TYPE], b"", JSON_TYPE, writing=True)

    def _changed(self, request: Request) -> JobRow:
        return self._row(self._told(decode_document, self._read(request).body, JobItem))

    def _row(self, item: JobItem) -> JobRow:
        self._states[item.id] = item.state
        return self._told(job_row, item)


def _parts(entries: Iterator[ListedItem]) -> Iterator[JobObjects]:
    """A list in parts that a server takes at once, of which the last may be empty."""
    first, waiting, size = 0, list[ObjectItem](), 0
    while block := object_items(islice(entries, JOB_BLOCK_ITEMS)):
        if waiting and size >= _PART_BYTES:
            yield JobObjects(first, waiting)
            first, waiting, size = first + len(waiting), [], 0
        waiting += block
        size += len(encode_list(block))
    yield JobObjects(first, waiting, last=True)
