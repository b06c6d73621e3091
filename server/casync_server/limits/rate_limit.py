"""How much of a worker one address, or one token, may take.

Requests at once and requests in a second are bounded for each. CPU time is divided only while it
is wanted by others as well: who has spent what is his may go on as long as nobody else is there.
Who wants more is held back for as long as that takes, which slows him down to what he may have;
only where it would take too long he is refused, and told when to come again. Must not know what
requests are about.
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

from casync_server.access.auth import OPEN_PATHS, caller_of
from casync_server.limits.connection_count import address_group
from casync_server.limits.token_bucket import TokenBucket
from casync_server.problems import problem_response
from casync_server.settings import ServerSettings

__all__ = ["RateLimiter", "address_of", "spender", "token_of"]

_MAX_CALLERS: Final = 4096
"""Callers whose spending is known. Who is forgotten may begin anew."""

_REQUEST_SECONDS: Final = 0.001
"""CPU time of any request outside of the threads that read and write: about that of a small one."""

_LONGEST_WAIT: Final = 30

_Spend = Callable[[float], None]
_SPEND: ContextVar[_Spend | None] = ContextVar("spend", default=None)


def spender() -> _Spend | None:
    """What takes seconds of CPU time from whoever the request under way is of; any thread may."""
    return _SPEND.get()


def address_of(scope: Scope) -> str | None:
    """The address that a request came from; None for a Unix socket, whose clients are unknown."""
    client = scope.get("client")
    return address_group(str(client[0])) if client else None


def token_of(scope: Scope) -> str | None:
    """The id of the token that it came with, if it came with one."""
    caller = caller_of(scope)
    return caller.id if caller is not None else None


class _Caller:
    """What one of them has left."""

    def __init__(self, settings: ServerSettings, now: float) -> None:
        self.running = 0
        self.requests = TokenBucket(settings.client_rate, settings.client_burst, now)
        self.cpu = TokenBucket(settings.client_cpu, settings.client_reserve, now)


class RateLimiter:
    """ASGI middleware that bounds what each caller takes.

    Args:
        app: What lies behind.
        who: Tells callers apart; None for those that are not bounded here.
        settings: The bounds.
        clock: Seconds, rising.
        pause: Waits for so many seconds.
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
        """Passes the request on, now or in a while, or answers 429 or 503."""
        key = None
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
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
        """Counts a request; says how long it is to be held back, or why it is refused."""
        with self._lock:
            now = self._clock()
            caller = self._callers.pop(key, None) or _Caller(self._settings, now)
            self._forget()
            self._callers[key] = caller  # the one that asked last is forgotten last
            if caller.running >= self._settings.client_requests:
                return caller, 0.0, _refuse(503, "too many of your requests are under way", 1)
            wait = caller.requests.wait(1, now)
            if self._running > caller.running:
                wait = max(wait, caller.cpu.wait(0, now))
            if wait > self._settings.client_wait:
                return caller, 0.0, _refuse(429, "you have had what one may have for now", wait)
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
    return problem_response(status, detail, headers={"Retry-After": str(seconds)})
