"""Which jobs of a store and its namespaces wait for a runner.

A store is read when its data file has changed, and while another process runs a job of it, which
may die. Stores in which nothing runs, or a job has ended, are closed again, however many namespaces
there are. One that other hosts change, too, stays open and is read every few seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from casync.errors import CasyncError, NoStoreError
from casync.escape import escape
from casync.fs.identity import FileIdentity
from casync.jobs.job import JobRow, JobState
from casync.store.lmdb.store import LmdbStore
from casync_server.faults import data_file_identity
from casync_server.stores import ServedStores

__all__ = ["JobQueue", "ServedJob", "next_job"]

_SETTLED_NS: Final = 2_000_000_000
"""Age of a file's times after which a change cannot have the same ones."""

_SHARED_SECONDS: Final = 2.0
"""Seconds between two looks at a store that other hosts change, too."""

_ABSENT_SECONDS: Final = 60.0

_UNFINISHED: Final = frozenset({JobState.QUEUED, JobState.RUNNING})


def _is_ours(row: JobRow) -> bool:
    """Whether a job is for the runner of a server, and not finished."""
    # Its list comes from the client, with the request that makes it, or in parts.
    is_listed = row.total >= 0 or row.listed > 0 or not row.spec.is_list
    return row.spec.served and row.state in _UNFINISHED and is_listed


class ServedJob(NamedTuple):
    """A job of any namespace."""

    namespace: str
    id: str


def next_job(waiting: Sequence[ServedJob], running: Iterable[ServedJob]) -> ServedJob:
    """The job to run next: the oldest of a namespace of which the fewest jobs run.

    Args:
        waiting: The jobs that wait, the oldest first; at least one.
        running: The jobs that run.
    """
    busy = Counter(job.namespace for job in running)
    return min(waiting, key=lambda job: busy[job.namespace])


class JobQueue:
    """The jobs of one server. Used by one thread.

    Args:
        stores: The stores of the server.
        say: Reports an error to the operator.
    """

    def __init__(self, stores: ServedStores, say: Callable[[str], None]) -> None:
        self._served = stores
        self._say = say
        self._due: dict[str, float] = {}
        self._stores: dict[str, LmdbStore] = {}
        self._seen: dict[str, FileIdentity | None] = {}
        self._busy: set[str] = set()  # namespaces with jobs that are not finished

    def store(self, namespace: str) -> LmdbStore:
        """The open store of a namespace of which `waiting` told a job."""
        return self._stores[namespace]

    def waiting(self, running: Collection[ServedJob]) -> list[ServedJob]:
        """The jobs that wait for a runner, the oldest first.

        Args:
            running: The jobs that this process runs; their stores stay open, as do those of the
                jobs that wait.
        """
        found: list[tuple[int, ServedJob]] = []
        in_use = {key.namespace for key in running}
        for namespace in self._namespaces():
            rows = self._look(namespace)
            keys = [(row.created, ServedJob(namespace, row.id)) for row in rows]
            found += [each for each in keys if each[1] not in running]
            is_idle = not keys and namespace not in in_use and namespace not in self._busy
            if is_idle and not self._served.shared:
                self._close(namespace)
        return [key for _, key in sorted(found)]

    def release(self, namespace: str) -> None:
        """Ends the session of a namespace in which no job runs; `waiting` opens it again."""
        if not self._served.shared:
            self._close(namespace)

    def close(self) -> None:
        """Closes all stores."""
        for namespace in [*self._stores]:
            self._close(namespace)

    def _namespaces(self) -> Iterator[str]:
        yield ""
        with suppress(CasyncError):
            yield from self._served.namespaces()

    def _look(self, namespace: str) -> list[JobRow]:
        """The jobs of a namespace without a runner; none if nothing has changed."""
        if not (self._is_due(namespace) if self._served.shared else self._has_changed(namespace)):
            return []
        try:
            store = self._open(namespace)
            rows = [row for row in store.jobs.rows() if _is_ours(row)]
            if rows:
                self._busy.add(namespace)
            else:
                self._busy.discard(namespace)
            return [row for row in rows if not store.jobs.is_running(row.id)]
        except NoStoreError:  # a namespace of a bucket that nothing has made yet
            self._due[namespace] = time.monotonic() + _ABSENT_SECONDS
            return []
        except CasyncError as error:
            self._busy.discard(namespace)
            place = f" in {namespace}" if namespace else ""
            self._say(f"cannot run jobs{place}: {escape(error.message)}")
            return []

    def _has_changed(self, namespace: str) -> bool:
        identity = data_file_identity(self._served.folder(namespace))
        if namespace not in self._busy and self._seen.get(namespace, ...) == identity:
            return False
        settled = identity is not None and time.time_ns() - identity.mtime_ns > _SETTLED_NS
        self._seen[namespace] = identity if settled else None
        return True

    def _is_due(self, namespace: str) -> bool:
        now = time.monotonic()
        if now < self._due.get(namespace, 0.0):
            return False
        self._due[namespace] = now + _SHARED_SECONDS
        return True

    def _open(self, namespace: str) -> LmdbStore:
        if namespace not in self._stores:
            self._stores[namespace] = self._served.open_for_work(namespace)
        return self._stores[namespace]

    def _close(self, namespace: str) -> None:
        store = self._stores.pop(namespace, None)
        if store is not None:
            store.close()
