"""The jobs of a namespace with the threads that read and change them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

from casync.errors import LockedError
from casync.limits import KIB
from casync_server.jobs.event_stream import EventStreams
from casync_server.jobs.job_service import JobService
from casync_server.reading.read_pool import ReadPool

__all__ = ["ServedJobs"]

_SHORT_BYTES: Final = 160 * KIB
"""Largest request without a slot: that of other documents."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ServedJobs:
    """What routes of jobs work with.

    Attributes:
        service: The jobs.
        streams: Counts the streams of events of this worker.
        readers: Threads that read the store.
        writers: Threads that write to it.
        lists: Slots for requests with long lists, which take memory.
        wait: Seconds that such a request, or one for a plan, may wait for its turn.
        planning: Plans that may be made at the same time.
        planners: Threads that make them.
    """

    service: JobService
    streams: EventStreams
    readers: ReadPool
    writers: ReadPool
    lists: asyncio.Semaphore
    wait: float
    planning: asyncio.Semaphore
    planners: ReadPool

    @asynccontextmanager
    async def slot(self, request: Request) -> AsyncIterator[None]:
        """Waits for a slot if the request may have a long list.

        Raises:
            HTTPException: 503, there was none in time.
        """
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) <= _SHORT_BYTES:
            yield
            return
        async with self._turn(self.lists, "too many lists of objects at once"):
            yield

    async def plan(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which lists a source, in a thread. Raises as `slot`."""
        async with self._turn(self.planning, "too many plans of jobs at once"):
            return await self.planners.run(function)

    @asynccontextmanager
    async def _turn(self, slots: asyncio.Semaphore, busy: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.wait):
                await slots.acquire()
        except TimeoutError:
            raise HTTPException(503, busy, headers={"Retry-After": "10"}) from None
        try:
            yield
        finally:
            slots.release()

    async def read(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which reads the store, in a thread."""
        return await self.readers.run(function)

    async def change(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which writes to the store, in a thread.

        Raises:
            HTTPException: 503, an earlier request still changes the job. It may be the same one,
                sent again by a client or a proxy that waited too long.
        """
        try:
            return await self.writers.run(function)
        except LockedError:
            busy = "an earlier request still changes this job"
            raise HTTPException(503, busy, headers={"Retry-After": "1"}) from None
