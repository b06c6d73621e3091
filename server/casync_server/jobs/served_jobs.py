"""The jobs of a namespace with the threads that read and change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from casync_server.jobs.event_stream import EventStreams
from casync_server.jobs.job_service import JobService
from casync_server.reading.read_pool import ReadPool

__all__ = ["ServedJobs"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ServedJobs:
    """What routes of jobs work with.

    Attributes:
        service: The jobs.
        streams: Counts the streams of events of this worker.
        readers: Threads that read the store.
        writers: Threads that write to it.
    """

    service: JobService
    streams: EventStreams
    readers: ReadPool
    writers: ReadPool

    async def read(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which reads the store, in a thread."""
        return await self.readers.run(function)

    async def change(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which writes to the store, in a thread."""
        return await self.writers.run(function)
