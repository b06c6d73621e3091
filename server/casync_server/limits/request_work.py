"""Limits the work that threads do for one request.

A walk through hostile content may take long. Code that walks calls `checkpoint` every few
milliseconds: it charges the CPU time since the last call, lets other callers have the thread after
a slice of time, and ends a walk that is over its limit or whose client has disconnected.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from casync.access.waiting import ASIDE
from casync.errors import StoppedError, TimedOutError
from casync_server.limits.rate_limit import address_of, token_of

__all__ = [
    "IS_GONE",
    "RequestWork",
    "Stint",
    "WorkOfRequest",
    "checkpoint",
    "current_trail",
    "current_work",
    "is_wanted",
    "trail_of",
]

IS_GONE: Final = "casync.is_gone"
"""Extension of the ASGI scope: a function that tells whether the client has disconnected."""

_SLICE_SECONDS: Final = 0.05
"""CPU time after which a thread lets others have their turn."""

_CHARGED_SECONDS: Final = 0.002
"""CPU time that is charged at once: each charge takes locks."""


class RequestWork(NamedTuple):
    """The request that threads work for.

    Attributes:
        caller: Its token, or without one its address; None if it has neither.
        is_gone: Tells whether the client has disconnected.
        seconds: CPU seconds that one call in a thread may take.
        trail: The caches that it came through.
    """

    caller: str | None
    is_gone: Callable[[], bool]
    seconds: float
    trail: tuple[str, ...] = ()


_WORK: ContextVar[RequestWork | None] = ContextVar("request work", default=None)


def current_work() -> RequestWork | None:
    """The current request; None outside of requests."""
    return _WORK.get()


class WorkOfRequest:
    """ASGI middleware that makes each request the current one.

    Args:
        app: The application behind it.
        seconds: CPU seconds that one call in a thread may take.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_gone = scope.get("extensions", {}).get(IS_GONE, _never)
        caller = token_of(scope) or address_of(scope)
        work = RequestWork(caller, is_gone, self._seconds, trail_of(scope))
        before = _WORK.set(work)
        try:
            await self._app(scope, receive, send)
        finally:
            _WORK.reset(before)


def trail_of(scope: Scope) -> tuple[str, ...]:
    """The caches that a request came through, by its `CDN-Loop` fields."""
    fields = [value for name, value in scope.get("headers", ()) if name == b"cdn-loop"]
    words = b",".join(fields).decode("latin-1").split(",")
    return tuple(word.strip() for word in words if word.strip())


def _never() -> bool:
    return False


class _Current(threading.local):
    stint: Stint | None = None


_CURRENT: Final = _Current()


class Stint:
    """One call in a thread. A context manager that makes it the thread's current stint.

    Args:
        work: The request that it is for, if any.
        spend: Charges CPU seconds to the caller.
        step_aside: Lets others have the thread, and returns when it is this caller's turn again.
        stepping: The same for as long as a context lasts, in which the call waits for another one.
        cpu: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        work: RequestWork | None,
        spend: Callable[[float], None] | None,
        step_aside: Callable[[], None],
        stepping: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._work = work
        self._spend = spend
        self._step_aside = step_aside
        self._stepping = stepping
        self._cpu = cpu
        self._began = self._charged = self._slice = 0.0

    def __enter__(self) -> None:
        self._began = self._charged = self._slice = self._cpu()
        _CURRENT.stint = self
        ASIDE.stepping = self._stepping

    @property
    def trail(self) -> tuple[str, ...]:
        """The caches that the request came through."""
        return () if self._work is None else self._work.trail

    def __exit__(self, *_: object) -> None:
        _CURRENT.stint = None
        ASIDE.stepping = nullcontext
        self._charge(self._cpu())

    def _charge(self, now: float) -> None:
        if self._spend is not None:
            self._spend(now - self._charged)
        self._charged = now

    def is_wanted(self) -> bool:
        """Charges and takes turns. Returns whether the client is still there."""
        now = self._cpu()
        if now - self._charged >= _CHARGED_SECONDS:
            self._charge(now)
        if now - self._slice >= _SLICE_SECONDS:
            self._step_aside()
            self._slice = now
        return self._work is None or not self._work.is_gone()

    def check(self) -> None:
        """The same, and ends work that is not wanted or over its limit.

        Raises:
            StoppedError: The client has disconnected.
            TimedOutError: The call took too long.
        """
        if not self.is_wanted():
            raise StoppedError("the client disconnected")
        if self._work is not None and self._charged - self._began > self._work.seconds:
            raise TimedOutError(
                f"the request took more than {self._work.seconds:g} s of CPU time",
                next_step="Pull the content: casync pull.",
            )


def checkpoint() -> None:
    """As `Stint.check`, for the thread's current stint. Without one it does nothing.

    Raises:
        StoppedError, TimedOutError: As `Stint.check`.
    """
    if _CURRENT.stint is not None:
        _CURRENT.stint.check()


def is_wanted() -> bool:
    """As `Stint.is_wanted`, for the thread's current stint; True without one."""
    return _CURRENT.stint is None or _CURRENT.stint.is_wanted()


def current_trail() -> tuple[str, ...]:
    """The caches that the request of the thread's current stint came through."""
    return () if _CURRENT.stint is None else _CURRENT.stint.trail
