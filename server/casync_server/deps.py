"""Dependencies of the routes: the store, the threads that read it, and readers of bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Final, TypeAlias, TypeVar

from fastapi import Depends, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from casync.access.member_indexes import PASSING, MemberIndexes
from casync.errors import (
    CasyncError,
    DeniedError,
    NoStoreError,
    StoppedError,
    UsageError,
)
from casync.ids import Buffer
from casync.limits import KIB
from casync.store.base import ManifestSource
from casync.store.bucket.follower import HeadFollower
from casync.store.filtered import FilteredSource
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import JSON_TYPE, Document, decode_document
from casync.wire.requests import IDS_TYPE, MAX_IDS_BYTES
from casync_server.access.auth import caller_of
from casync_server.access.metrics import Metrics, StoreMetrics
from casync_server.jobs.served_jobs import ServedJobs
from casync_server.limits.answer_memory import AnswerMemory
from casync_server.limits.delta_cpu import DeltaCpu
from casync_server.pushes.writing import Writing
from casync_server.reading.read_pool import ReadPool
from casync_server.settings import ServerSettings

__all__ = [
    "JobAccess",
    "Push",
    "PushIfAny",
    "PushPath",
    "Reads",
    "Service",
    "Writes",
    "check_type",
    "get_jobs",
    "get_service",
    "get_writing",
    "parse_push",
    "read_document",
    "read_list",
]

_MAX_DOCUMENT_BYTES: Final = 160 * KIB
"""Largest JSON document of a client: a list of the longest refs, with slack."""

_T = TypeVar("_T")


_OfNamespace: TypeAlias = Callable[[str], Awaitable["Service"]]


async def _no_namespaces(namespace: str) -> Service:
    raise NoStoreError(f"this server has no namespace {namespace}")


@dataclass
class Service:
    """Everything that one worker needs to serve a store.

    Attributes:
        store: The served store.
        store_id: Reads its UUID.
        settings: Limits and options.
        pool: Threads that read the store.
        answer_memory: Memory for answers in progress.
        delta_cpu: CPU time for deltas.
        metrics: What `/metrics` shows.
        writing: Access for changes; None if the server only reads.
        jobs: Access to jobs; None if the server runs none.
        member_indexes: Keeps the indexes of archives.
        of_namespace: Returns the service of another namespace.
        stores: The open stores of other namespaces.
        follower: Keeps a store in a bucket up to date; None for a store in a folder.
        draining: The worker is stopping and takes no new work.
    """

    store: ManifestSource
    store_id: Callable[[], str]
    settings: ServerSettings
    pool: ReadPool
    answer_memory: AnswerMemory
    delta_cpu: DeltaCpu
    metrics: Metrics | StoreMetrics
    writing: Writing | None = None
    jobs: ServedJobs | None = None
    member_indexes: MemberIndexes = PASSING
    of_namespace: _OfNamespace = _no_namespaces
    stores: Callable[[], Iterable[LmdbStore]] = tuple
    follower: HeadFollower | None = None
    draining: bool = False

    async def read(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which reads the store, in a thread."""
        return await self.pool.run(function)


async def get_service(request: Request) -> Service:
    """The service for a request, limited to its token's namespace and names.

    Raises:
        HTTPException: 503 while the tables of a replica are not whole: they lack what exists.
    """
    service = request.app.state.service
    assert isinstance(service, Service)
    caller = caller_of(request.scope)
    if caller is not None and caller.namespace:
        service = await service.of_namespace(caller.namespace)
    if service.follower is not None and not service.follower.is_synced:
        waits = f"this server waits for {service.follower.waits_for}"
        raise HTTPException(503, waits, {"Retry-After": "2"})
    if caller is None or not caller.names:
        return service
    writing = service.writing
    return replace(
        service,
        store=FilteredSource(service.store, caller.allows),
        writing=None if writing is None else replace(writing, allows=caller.allows),
    )


Reads: TypeAlias = Annotated[Service, Depends(get_service)]
"""The service, as a parameter of a route."""


async def get_writing(service: Reads) -> Writing:
    """Access for a route that changes the store.

    Raises:
        DeniedError: This server is read-only.
    """
    if service.writing is None:
        raise DeniedError(
            "this server is read-only", next_step="Its operator can start it with --writable."
        )
    return service.writing


Writes: TypeAlias = Annotated[Writing, Depends(get_writing)]
"""The same, as a parameter of a route."""


async def get_jobs(request: Request, service: Reads) -> ServedJobs:
    """Access for a route of jobs.

    Raises:
        DeniedError: This server runs no jobs, or the token is bound to names.
    """
    if service.jobs is None:
        raise DeniedError(
            "this server runs no jobs", next_step="Its operator can start it with --jobs."
        )
    caller = caller_of(request.scope)
    if caller is not None and caller.names:
        raise DeniedError("a token that is bound to names may not run jobs")
    return service.jobs


JobAccess: TypeAlias = Annotated[ServedJobs, Depends(get_jobs)]
"""The same, as a parameter of a route."""

_PUSH: Final = "[0-9a-f]{32}"

Push: TypeAlias = Annotated[str, Query(pattern=f"^{_PUSH}$", description="The push.")]
PushPath: TypeAlias = Annotated[str, Path(pattern=f"^{_PUSH}$", description="The push.")]
PushIfAny: TypeAlias = Annotated[
    str, Query(pattern=f"^({_PUSH})?$", description="The push that the request belongs to.")
]


def parse_push(text: str) -> bytes:
    """The id of a push from a parameter that `Push` has validated; empty for none."""
    return bytes.fromhex(text)


async def read_list(request: Request, decode: Callable[[Buffer], _T]) -> _T:
    """Reads a body that lists ids, with a decoder of `casync.wire.requests`.

    Raises:
        UsageError: The body is malformed.
        HTTPException: 415 for another media type, 413 for a body longer than any list.
        StoppedError: The client disconnected.
    """
    body = await _read_body(request, IDS_TYPE, MAX_IDS_BYTES)
    try:
        return decode(body)
    except CasyncError as error:
        raise UsageError(error.message) from error


async def read_document(
    request: Request, kind: type[Document], max_bytes: int = _MAX_DOCUMENT_BYTES
) -> Document:
    """Reads a body that is a JSON document of at most `max_bytes`.

    Raises:
        UsageError: The body is not a valid document of this kind.
        HTTPException, StoppedError: As `read_list`.
    """
    body = await _read_body(request, JSON_TYPE, max_bytes)
    try:
        return decode_document(body, kind)
    except CasyncError as error:
        raise UsageError(f"the body is not a valid {kind.__name__}") from error


def check_type(request: Request, media_type: str) -> None:
    """Refuses a body of another media type.

    Raises:
        HTTPException: 415.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise HTTPException(415, f"the body must be {media_type}")


async def _read_body(request: Request, media_type: str, max_bytes: int) -> bytes:
    check_type(request, media_type)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > max_bytes:
                raise HTTPException(413, f"the body is larger than {max_bytes} bytes")
    except ClientDisconnect as error:
        raise StoppedError("the client disconnected") from error
    return bytes(body)
