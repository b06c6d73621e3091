"""Which object is fetched next: in order, as far as hosts, retries and the window allow.

Tasks that must wait hold no connection: a retry comes back when its time has come, and a host that
asked for a pause gets no request until then. Objects start only within a window above the cursor,
so that a job remembers few objects that are done out of order.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from casync.errors import StoppedError
from casync.limits import JOB_WINDOW

__all__ = ["Errand", "Errands", "FetchQueue", "Task"]

_StateT = TypeVar("_StateT")


class Task(Generic[_StateT]):
    """One object to fetch.

    Attributes:
        index: Its index in the job.
        host: The host that it comes from.
        state: What is known and done of it. Tasks that come back keep it.
        holds: Whether it holds memory while it waits: a large object, half of which is read.
    """

    __slots__ = ("holds", "host", "index", "state")

    def __init__(self, index: int, host: str, state: _StateT) -> None:
        self.index = index
        self.host = host
        self.state = state
        self.holds = False


class Errand:
    """Work for a thread that finds no task, such as a range of an object of another one.

    Attributes:
        host: The host that is asked.
        run: Does it. Raises nothing of CasyncError.
        refuse: Is called instead, if it cannot be done now.
    """

    __slots__ = ("host", "refuse", "run")

    def __init__(self, host: str, run: Callable[[], None], refuse: Callable[[], None]) -> None:
        self.host = host
        self.run = run
        self.refuse = refuse


class Errands(Protocol):
    """Takes errands. Safe for threads."""

    def offer(self, errand: Errand) -> None:
        """Offers an errand to threads that find no task."""
        ...

    def withdraw(self, errand: Errand) -> bool:
        """Withdraws an errand. Returns False if a thread has taken it."""
        ...


class FetchQueue(Generic[_StateT]):
    """Hands tasks to the threads of a job. Safe for threads.

    Args:
        tasks: The tasks, ordered by index. Called by one thread at a time.
        cursor: The first index that is not done.
        per_host: Tasks of one host that may run at once.
        most_held: Waiting tasks that hold memory, from which on no other task begins.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self,
        tasks: Iterator[Task[_StateT]],
        *,
        cursor: int,
        per_host: int,
        most_held: int,
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._next: Task[_StateT] | None = None
        self._cursor = cursor
        self._per_host = per_host
        self._most_held = most_held
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: dict[str, deque[Task[_StateT]]] = {}
        self._waiting: list[tuple[float, int, Task[_StateT]]] = []
        self._resting: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._held = 0
        self._lookers = 0  # threads that wait for something to take
        self._left = 0  # tasks whose requests are over, and which are not done
        self._errands: list[Errand] = []
        self._exhausted = False
        self._stopped = False

    def take(
        self, after: Task[_StateT] | None = None, cursor: int = 0
    ) -> Task[_StateT] | Errand | None:
        """The next task or errand, which this thread must give back; None when all are done.

        Args:
            after: The task that this thread is done with, if it was not given back.
            cursor: As of `done`.

        Raises:
            StoppedError: The queue was stopped.
            CasyncError: What the iterator of tasks raises.
        """
        with self._changed:
            if after is not None:  # its place is taken at once, so no other thread need look
                self._leave(after)
                self._cursor = max(self._cursor, cursor)
            while True:
                if self._stopped:
                    raise StoppedError("stopped")
                now = self._clock()
                self._wake(now)
                host = self._open_host()
                if host is None and self._read_ahead():
                    continue
                if host is not None:
                    task = self._ready[host].popleft()
                    if not self._ready[host]:
                        del self._ready[host]
                    self._held -= task.holds
                    task.holds = False
                    self._running[host] += 1
                    self._wake_another()
                    return task
                errand = self._pick_errand()
                if errand is not None:
                    self._running[errand.host] += 1
                    self._wake_another()
                    return errand
                is_open = self._running or self._waiting or self._ready or self._left
                if self._exhausted and not is_open:
                    self._changed.notify_all()
                    return None
                self._lookers += 1
                self._changed.wait(self._pause(now))
                self._lookers -= 1

    def again(
        self, task: Task[_StateT], delay: float, *, rest: float = 0.0, holds: bool = False
    ) -> None:
        """Gives back a task that is to be tried again.

        Args:
            task: The task.
            delay: Seconds until then.
            rest: Seconds for which its host asked not to be asked for anything.
            holds: Whether it holds memory.
        """
        with self._changed:
            now = self._clock()
            self._leave(task)
            task.holds = holds
            self._held += holds
            if rest:
                self._resting[task.host] = max(self._resting.get(task.host, 0.0), now + rest)
            heapq.heappush(self._waiting, (now + max(delay, rest), task.index, task))
            self._changed.notify()

    def done(self, task: Task[_StateT], cursor: int) -> None:
        """Gives back a task that is done.

        Args:
            task: The task.
            cursor: The first index of the job that is not done.
        """
        with self._changed:
            self._leave(task)
            self._cursor = max(self._cursor, cursor)
            self._changed.notify()

    def take_like(
        self, task: Task[_StateT], most: int, fits: Callable[[_StateT], bool]
    ) -> list[Task[_StateT]]:
        """More ready tasks of the host of a task, which wants them handled in one request with it.

        Each must be given to `put_back`, or be counted by `settle`.

        Args:
            task: The task, which this thread has.
            most: How many at most.
            fits: Whether a task can be handled so. The first one that cannot is the end.
        """
        found: list[Task[_StateT]] = []
        with self._changed:
            if task.host in self._resting:
                return found
            while len(found) < most:
                ready = self._ready.get(task.host)
                if ready is None:
                    if not self._read_ahead():
                        break
                    continue
                if not fits(ready[0].state):
                    break
                found.append(ready.popleft())
                if not ready:
                    del self._ready[task.host]
            self._left += len(found)
        return found

    def put_back(self, tasks: Sequence[Task[_StateT]]) -> None:
        """Makes tasks ready again that `take_like` gave out."""
        with self._changed:
            self._left -= len(tasks)
            for task in reversed(tasks):
                self._ready.setdefault(task.host, deque()).appendleft(task)
            self._changed.notify()

    def leave(self, task: Task[_StateT]) -> None:
        """Ends the request of a task that is not done yet, but needs no thread any more."""
        with self._changed:
            self._leave(task)
            self._left += 1

    def settle(self, count: int, cursor: int) -> None:
        """As `done`, for tasks that `leave` was told of, or will be."""
        with self._changed:
            self._left -= count
            self._cursor = max(self._cursor, cursor)
            self._changed.notify()

    def offer(self, errand: Errand) -> None:
        """As `Errands.offer`."""
        with self._changed:
            self._errands.append(errand)
            self._changed.notify()

    def withdraw(self, errand: Errand) -> bool:
        """As `Errands.withdraw`."""
        with self._changed:
            if errand not in self._errands:
                return False
            self._errands.remove(errand)
            return True

    def ran(self, errand: Errand) -> None:
        """Gives back an errand that was done."""
        with self._changed:
            self._leave(errand)
            self._changed.notify()

    def stop(self) -> None:
        """Ends all waiting; `take` raises from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _leave(self, task: Task[_StateT] | Errand) -> None:
        self._running[task.host] -= 1
        if not self._running[task.host]:
            del self._running[task.host]

    def _wake(self, now: float) -> None:
        """Makes the tasks ready whose time has come, before those of their host that are newer."""
        if not self._waiting and not self._resting:
            return
        due: list[Task[_StateT]] = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        for task in sorted(due, key=lambda each: -each.index):
            self._ready.setdefault(task.host, deque()).appendleft(task)
        for host in [host for host, until in self._resting.items() if until <= now]:
            del self._resting[host]

    def _open_host(self) -> str | None:
        """The host of the first ready task that may run now; None if there is none."""
        best: str | None = None
        full = self._held >= self._most_held
        for host, ready in self._ready.items():
            if host in self._resting or self._running[host] >= self._per_host:
                continue
            if full and not ready[0].holds:
                continue
            if best is None or ready[0].index < self._ready[best][0].index:
                best = host
        return best

    def _wake_another(self) -> None:
        """Wakes a thread if there is more to take: one that looks in vain costs a switch."""
        if not self._lookers:
            return
        while self._open_host() is None:
            if not self._read_ahead():
                if self._errands:
                    break
                return
        self._changed.notify()

    def _pick_errand(self) -> Errand | None:
        """Takes the first errand whose host may be asked."""
        for errand in self._errands:
            if errand.host not in self._resting and self._running[errand.host] < self._per_host:
                self._errands.remove(errand)
                return errand
        return None

    def _read_ahead(self) -> bool:
        """Makes the next task ready, if it lies in the window. Returns whether it did."""
        if self._next is None and not self._exhausted:
            self._next = next(self._tasks, None)
            self._exhausted = self._next is None
        task = self._next
        if task is None or task.index >= self._cursor + JOB_WINDOW or self._held >= self._most_held:
            return False
        self._next = None
        self._ready.setdefault(task.host, deque()).append(task)
        return True

    def _pause(self, now: float) -> float | None:
        """Seconds until something becomes due; None if only other threads can change that."""
        times = [*self._resting.values()]
        if self._waiting:
            times.append(self._waiting[0][0])
        return max(min(times) - now, 0.0) if times else None
