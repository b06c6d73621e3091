"""Limits what one address, or one token, may use of a worker.

Concurrent requests and requests per second are limited for each caller. CPU time is limited only
while other callers have requests running. A request over the limit is delayed until the caller's
bucket has refilled, which slows the caller down to its rate; if that would take too long, it is
refused with a Retry-After.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from casync_server.access.auth import HEALTH_PATHS, caller_of
from casync_server.limits.connection_count import address_group
from casync_server.limits.token_bucket import TokenBucket
from casync_server.problems import problem_response
from casync_server.settings import ServerSettings

__all__ = ["RateLimiter", "address_of", "spender", "token_of"]

_MAX_CALLERS: Final = 4096
"""Callers whose buckets are kept. A forgotten caller starts with full buckets."""

_REQUEST_SECONDS: Final = 0.001
"""CPU time of a request outside the threads that read and write: about that of a small request."""

_LONGEST_WAIT: Final = 30

_Spend = Callable[[float], None]
_SPEND: ContextVar[_Spend | None] = ContextVar("spend", default=None)


def spender() -> _Spend | None:
    """A function that charges CPU seconds to the caller of the current request. Thread-safe."""
    return _SPEND.get()


def address_of(scope: Scope) -> str | None:
    """The address group of a request; None for a Unix socket, whose clients have no address."""
    client = scope.get("client")
    return address_group(str(client[0])) if client else None


def token_of(scope: Scope) -> str | None:
    """The id of a request's token; None without one."""
    caller = caller_of(scope)
    return caller.id if caller is not None else None


class _Caller:
    """The buckets of one caller."""

    def __init__(self, settings: ServerSettings, now: float) -> None:
        self.running = 0
        self.requests = TokenBucket(settings.client_rate, settings.client_burst, now)
        self.cpu = TokenBucket(settings.client_cpu, settings.client_reserve, now)


class RateLimiter:
    """ASGI middleware that limits each caller.

    Args:
        app: The application behind it.
        who: Returns the caller's key; None for a caller without limits.
        settings: The limits.
        clock: Monotonic seconds.
        pause: Waits for a number of seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        who: Callable[[Scope], str | None],
        settings: ServerSettings,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._who = who
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._running = 0
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, at once or after a delay, or answers 429 or 503."""
        key = None
        if scope["type"] == "http" and scope["path"] not in HEALTH_PATHS:
            key = self._who(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        caller, wait, refusal = self._enter(key)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        outer = _SPEND.get()

        def spend(seconds: float) -> None:
            with self._lock:
                caller.cpu.spend(seconds)
            if outer is not None:
                outer(seconds)

        set_before = _SPEND.set(spend)
        try:
            if wait:
                await self._pause(wait)
            await self._app(scope, receive, send)
        finally:
            _SPEND.reset(set_before)
            with self._lock:
                caller.running -= 1
                self._running -= 1

    def _enter(self, key: str) -> tuple[_Caller, float, ASGIApp | None]:
        """Counts a request. Returns its caller, its delay in seconds, and its refusal if any."""
        with self._lock:
            now = self._clock()
            caller = self._callers.pop(key, None) or _Caller(self._settings, now)
            self._forget()
            self._callers[key] = caller  # last: the least recent caller is forgotten first
            if caller.running >= self._settings.client_requests:
                return caller, 0.0, _refuse(503, "too many concurrent requests", 1)
            wait = caller.requests.wait(1, now)
            if self._running > caller.running:
                wait = max(wait, caller.cpu.wait(0, now))
            if wait > self._settings.client_wait:
                return caller, 0.0, _refuse(429, "rate limit reached", wait)
            caller.running += 1
            self._running += 1
            caller.requests.spend(1)
            caller.cpu.spend(_REQUEST_SECONDS)
            return caller, wait, None

    def _forget(self) -> None:
        if len(self._callers) >= _MAX_CALLERS:
            callers = self._callers.items()
            idle = next((key for key, caller in callers if not caller.running), None)
            if idle is not None:
                del self._callers[idle]


def _refuse(status: int, detail: str, wait: float) -> ASGIApp:
    seconds = min(max(math.ceil(wait) if math.isfinite(wait) else _LONGEST_WAIT, 1), _LONGEST_WAIT)
    return problem_response(
        status, f"{detail}; retry in {seconds} s", headers={"Retry-After": str(seconds)}
    )
