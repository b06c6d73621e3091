"""What the routes work with: the store, the threads that read it, and how requests are read.

Must not know about single routes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from casync.errors import CasyncError, NoNameError, StoppedError, UsageError
from casync.ids import Buffer, ManifestId
from casync.lists import IDS_TYPE, MAX_IDS_BYTES
from casync.name import parse_ref
from casync.store.base import ManifestSource
from casync_server.allowance import Allowance
from casync_server.settings import ServerSettings
from casync_server.streaming import PieceBudget, ReadPool

__all__ = ["Reads", "Service", "get_service", "read_list", "resolve"]

_T = TypeVar("_T")


@dataclass
class Service:
    """One worker's means.

    Attributes:
        store: What is served.
        store_id: Its UUID.
        settings: Limits and switches.
        pool: Where the store is read.
        budget: Memory for answers under way.
        allowance: CPU time for deltas.
        draining: A stop was asked for; no new work, please.
    """

    store: ManifestSource
    store_id: str
    settings: ServerSettings
    pool: ReadPool
    budget: PieceBudget
    allowance: Allowance
    draining: bool = False

    async def read(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which reads the store, in a thread."""
        return await self.pool.run(function)


async def get_service(request: Request) -> Service:
    """The service of the application that the request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Reads: TypeAlias = Annotated[Service, Depends(get_service)]
"""The service, as a parameter of a route."""


async def read_list(request: Request, decode: Callable[[Buffer], _T]) -> _T:
    """Reads a body that lists ids, with one of the decoders of `casync.lists`.

    Raises:
        UsageError: It is no such list.
        HTTPException: 415 for another type, 413 for a longer body than any list has.
        StoppedError: The client went away.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != IDS_TYPE:
        raise HTTPException(415, f"the body must be {IDS_TYPE}")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_IDS_BYTES:
                raise HTTPException(413, f"a list of ids has at most {MAX_IDS_BYTES} bytes")
    except ClientDisconnect as error:
        raise StoppedError("the client went away") from error
    try:
        return decode(body)
    except CasyncError as error:
        raise UsageError(error.message) from error


def resolve(store: ManifestSource, text: str) -> ManifestId:
    """The full manifest behind a ref of a URL: a full hash, NAME or NAME@N.

    Raises:
        UsageError: It is none of these. Prefixes are for local stores: 32 bits can be ground out.
        NoNameError: It points to nothing that may be served.
    """
    ref = parse_ref(text)
    if ref.prefix is not None:
        raise UsageError("over HTTP a ref is a full hash or a name, not a prefix")
    if ref.path is not None:
        raise UsageError("a ref in a URL has no path inside")
    try:
        return store.resolve(ref)
    except NoNameError as error:
        raise NoNameError(error.message) from error  # its next step is for local users
