"""Refuses requests that came back: caches whose upstream servers ask them in turn.

A cache adds its id to the `CDN-Loop` field (RFC 8586) of what it asks upstream, and refuses what
carries its own id already. Otherwise each of them would wait for the other.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from casync.errors import LoopError
from casync_server.limits.request_work import current_trail, trail_of
from casync_server.problems import failure

__all__ = ["LoopGuard", "trail_through"]

_MOST_CACHES: Final = 16
"""Caches behind each other; more are a mistake, too."""


def trail_through(own: str) -> str:
    """The field for what a cache asks upstream on behalf of the current request.

    Args:
        own: The cache's id.
    """
    return ", ".join([*current_trail(), own])


class LoopGuard:
    """ASGI middleware of a cache.

    Args:
        app: The application behind it.
        own: The cache's id.
    """

    def __init__(self, app: ASGIApp, own: str) -> None:
        self._app = app
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 508, or passes the request on."""
        trail = trail_of(scope) if scope["type"] == "http" else ()
        if self._own not in trail and len(trail) <= _MOST_CACHES:
            await self._app(scope, receive, send)
            return
        error = LoopError(
            "the --upstream servers ask each other in a circle",
            next_step="Let --upstream lead to a server that has the content.",
        )
        await failure(scope, error)(scope, receive, send)
