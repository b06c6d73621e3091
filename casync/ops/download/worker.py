"""What each fetching thread of a job does: takes objects from the queue until none is left."""

from __future__ import annotations

import threading
from typing import NamedTuple

from casync.errors import CasyncError, StoppedError
from casync.ops.download.fetch import Fetch
from casync.ops.download.fetcher import Fetcher
from casync.ops.download.ledger import Ledger
from casync.ops.download.queue import Errand, FetchQueue, Task
from casync.ops.download.retries import Retries
from casync.ops.download.shared_bounds import SharedBounds
from casync.ops.download.unchanged import COMPARED_TOGETHER, Unchanged

__all__ = ["Worker"]


class Worker(NamedTuple):
    """Fetches objects in the calling thread, beside others.

    Attributes:
        queue: Hands out objects and errands.
        fetcher: Fetches them.
        retries: Decides what follows from errors.
        ledger: What the job has done.
        stopped: Tells that the job was stopped.
        bounds: Bounds the connections of this job and others.
        unchanged: Skips what is unchanged.
    """

    queue: FetchQueue[Fetch]
    fetcher: Fetcher
    retries: Retries
    ledger: Ledger
    stopped: threading.Event
    bounds: SharedBounds
    unchanged: Unchanged

    def run(self) -> None:
        """Fetches objects, one after another, until none is left.

        Raises:
            StoppedError: The job was stopped.
            CasyncError: An error that concerns more than an object.
        """
        done: Task[Fetch] | None = None
        while (task := self.queue.take(done, self.ledger.cursor)) is not None:
            done = None
            if isinstance(task, Errand):
                self._run(task)
                continue
            self.bounds.take(self.fetcher.ident, self.stopped)
            try:
                if self._fetch(task):
                    done = task
            finally:
                self.bounds.give_back(self.fetcher.ident)

    def _skip(self, task: Task[Fetch]) -> bool:
        """Skips an object, and others with it, if they are unchanged. Returns whether it is."""
        most = COMPARED_TOGETHER - 1
        others = self.queue.take_like(task, most, self.unchanged.may_hold)
        is_skipped, *skipped = self.unchanged.skip([task.state, *(each.state for each in others)])
        if others:
            left = [each for each, is_done in zip(others, skipped, strict=True) if not is_done]
            self.queue.put_back(left)
            self.queue.settle(len(others) - len(left), self.ledger.cursor)
        return is_skipped

    def _run(self, errand: Errand) -> None:
        """Does an errand, unless there is no connection for it: who offered it has one."""
        if self.bounds.try_take(self.fetcher.ident):
            try:
                errand.run()
            finally:
                self.bounds.give_back(self.fetcher.ident)
        else:
            errand.refuse()
        self.queue.ran(errand)

    def _fetch(self, task: Task[Fetch]) -> bool:
        """Tries to fetch an object. Returns whether it is done and was not given back."""
        fetch = task.state
        if self.unchanged.may_hold(fetch) and self._skip(task):
            return True
        try:
            is_settled = self.fetcher.attempt(fetch)
        except CasyncError as error:
            if self.stopped.is_set():
                self.fetcher.settle(fetch)
                raise StoppedError("stopped") from error
            again = self.retries.after(fetch, error)
            if again is None:
                return True
            self.fetcher.settle(fetch)
            holds = fetch.body is not None
            self.queue.again(task, again.delay, rest=again.rest, holds=holds)
            return False
        if not is_settled:
            self.queue.leave(task)
        return is_settled
