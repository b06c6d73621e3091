"""Reads and proves the payloads of a store in several threads."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from casync.access.progress import Progress
from casync.ids import Kind, ObjectId
from casync.ops.upkeep.structure import NodeFault, ObjectKey, Structure, fault_of
from casync.store.base import Absence, ObjectSource
from casync.store.proved import Lost, ProvedReader

__all__ = ["Payloads"]

_MAX_WORKERS: Final = 8


class Payloads:
    """Reads, decodes and hashes objects in several threads, and notes faults.

    Args:
        store: The store.
        workers: Number of threads; 0 for the number of usable CPUs, at most 8.
        structure: Collects the faults.
        progress: Advances by every plain byte.

    Attributes:
        objects: Number of objects read.
        length: Their plain bytes.
    """

    def __init__(
        self, store: ObjectSource, workers: int, structure: Structure, progress: Progress
    ) -> None:
        self._store = store
        self._structure = structure
        self._progress = progress
        workers = workers or min(len(os.sched_getaffinity(0)), _MAX_WORKERS)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="verify")
        self._max_waiting = 2 * workers
        self._waiting: deque[Future[tuple[int, int, list[tuple[ObjectKey, NodeFault]]]]] = deque()
        self._local = threading.local()
        self.objects = 0
        self.length = 0

    def check(self, kind: Kind, ids: Sequence[ObjectId], *, listed: bool) -> None:
        """Starts reading objects. If the store `listed` them, they may have been deleted since."""
        if ids:
            self._waiting.append(self._executor.submit(self._check, kind, ids, listed))
        while len(self._waiting) > self._max_waiting:
            self._collect()

    def finish(self) -> None:
        """Waits for all objects."""
        while self._waiting:
            self._collect()

    def close(self) -> None:
        """Ends the threads. Drops reads that have not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _collect(self) -> None:
        objects, length, wrong = self._waiting.popleft().result()
        self.objects += objects
        self.length += length
        self._progress.advance(length)
        for key, found in wrong:
            self._structure.note(key, found)

    def _check(
        self, kind: Kind, ids: Sequence[ObjectId], listed: bool
    ) -> tuple[int, int, list[tuple[ObjectKey, NodeFault]]]:
        if not hasattr(self._local, "objects"):
            self._local.objects = ProvedReader(self._store)
        objects = length = 0
        wrong: list[tuple[ObjectKey, NodeFault]] = []
        for found in self._local.objects.look(kind, ids):
            if not isinstance(found, Lost):
                objects += 1
                length += len(found)
            elif found.absence is not Absence.MISSING or not listed:
                wrong.append(((kind, found.id), fault_of(found)))
        return objects, length, wrong
