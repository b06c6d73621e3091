"""Authentication: checks the token of every request before a route sees it.

If the store requires tokens, only health checks and the pages at `/` and `/jobs` are answered
without one.
Requests need the highest level unless a lower one is listed here, so a new route is closed by
default. Every worker rejects a revoked token within `_FRESH_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casync.names.token import Token, TokenRow, TokenScope, parse_token
from casync.store.lmdb.tokens import KnownTokens
from casync_server.http.accept import wants_html
from casync_server.http.request_stats import request_stats
from casync_server.problems import problem_response

__all__ = [
    "HEALTH_PATHS",
    "OPEN_PATHS",
    "CurrentTokens",
    "Gatekeeper",
    "caller_of",
    "changes",
    "level_needed",
]

HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are never refused; their answer reveals only whether the server works."""

OPEN_PATHS: Final = HEALTH_PATHS | {"/jobs"}
"""Paths that need no token. The page of jobs is the same everywhere; it asks for one itself."""

_FRESH_SECONDS: Final = 1.0
_NEWS_SECONDS: Final = 0.05
"""An unknown token makes the worker read all tokens again, at most this often. Otherwise the first
token of a store would be taken for none at all, and its namespace for the default one."""

_CALLER: Final = "casync.caller"
_LOOKS: Final = frozenset({"GET", "HEAD"})
_ASKS: Final = frozenset({"/v1/batch", "/v1/objects/fetch", "/v1/objects/stat"})
_SENDS: Final = frozenset({"/v1/pushes", "/v1/objects"})
_PRIVATE: Final = frozenset({"/metrics", "/v1/pushes", "/v1/trash"})
_JOBS: Final = "/v1/jobs"
"""Reading jobs needs their scope, too: a job shows what others fetch, and from where."""

_ENDS: Final = "/v1/pushes/"
"""Below it, `DELETE` ends a push; the id is a secret of its owner and of administrators."""

_NOBODY: Final = TokenRow("", bytes(32), 0, (), 0, 0, 1, "")


def level_needed(method: str, path: str) -> TokenScope:
    """The scope that a request needs. `path` is decoded."""
    if path == _JOBS or path.startswith(f"{_JOBS}/"):
        return TokenScope.JOBS
    if not changes(method, path):
        return TokenScope.ADMIN if path in _PRIVATE else TokenScope.READ
    ends = method == "DELETE" and path.startswith(_ENDS)
    if (method == "POST" and path in _SENDS) or method == "PUT" or ends:
        return TokenScope.WRITE
    return TokenScope.ADMIN


def changes(method: str, path: str) -> bool:
    """Whether a request changes something if it succeeds."""
    return method not in _LOOKS and not (method == "POST" and path in _ASKS)


def caller_of(scope: Scope) -> TokenRow | None:
    """The token of a request; None if the store requires no tokens."""
    caller = scope.get(_CALLER)
    assert caller is None or isinstance(caller, TokenRow)
    return caller


class CurrentTokens:
    """The tokens of a store, as it had them a moment ago.

    Args:
        load: Reads the tokens of the store.
    """

    def __init__(self, load: Callable[[], Awaitable[KnownTokens]]) -> None:
        self._load = load
        self._known = KnownTokens(True, {})
        self._due = 0.0

    async def known(self, token: Token | None = None) -> KnownTokens:
        """The tokens, read again if they are old or if `token` is unknown and may be new."""
        now = time.monotonic()
        due = self._due
        if token is not None and token.id not in self._known.rows:
            due -= _FRESH_SECONDS - _NEWS_SECONDS
        if now >= due:
            if self._due:  # other requests use the known tokens meanwhile
                self._due = now + _FRESH_SECONDS
            self._known = await self._load()
            self._due = time.monotonic() + _FRESH_SECONDS
        return self._known


class Gatekeeper:
    """ASGI middleware that requires a token.

    Args:
        app: The application behind it.
        tokens: The tokens of the store.
        clock: Seconds since 1970.
    """

    def __init__(
        self, app: ASGIApp, *, tokens: CurrentTokens, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 or 403, or passes the request on."""
        if scope["type"] != "http" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        token = _shown(scope)
        known = await self._tokens.known(token)
        if not known.required:
            await self._app(scope, receive, send)
            return

        async def private(message: Message) -> None:
            if message["type"] == "http.response.start":
                _keep_private(MutableHeaders(scope=message))
            await send(message)

        refusal = self._refusal(scope, token, known)
        if refusal is None:
            await self._app(scope, receive, private)
        else:
            await refusal(scope, receive, private)

    def _refusal(self, scope: Scope, token: Token | None, known: KnownTokens) -> ASGIApp | None:
        caller = self._caller(token, known)
        if caller is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return problem_response(
                401,
                "this server requires a token; none was sent, or it is not valid",
                code="denied",
                headers=headers,
            )
        request_stats(scope).token = caller.id
        needed = level_needed(scope["method"], scope["path"])
        if caller.scope < needed:
            needs = needed.name.lower()
            command = f"casync token new --scope {needs}"
            return problem_response(
                403,
                f"this request needs a token of the scope {needs}",
                code="denied",
                next_step=f"The server's operator makes one with `{command}`.",
            )
        scope[_CALLER] = caller
        return None

    def _caller(self, token: Token | None, known: KnownTokens) -> TokenRow | None:
        """The row of a valid token. None does not say why a token is invalid."""
        if token is None:
            return None
        row = known.rows.get(token.id, _NOBODY)
        return row if row.opens(token.secret) and row.lives(self._clock()) else None


def _is_open(scope: Scope) -> bool:
    """Whether a request needs no token: an open path, or a browser at the front page."""
    if scope["path"] != "/" or scope["method"] not in _LOOKS:
        return scope["path"] in OPEN_PATHS
    accepts = [value for name, value in scope["headers"] if name == b"accept"]
    return bool(accepts) and wants_html(accepts[0].decode("latin-1"))


def _shown(scope: Scope) -> Token | None:
    """The token in a request's Authorization field, not verified yet."""
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    kind, _, text = shown[0].decode("latin-1").partition(" ") if shown else ("", "", "")
    return parse_token(text.strip()) if kind.lower() == "bearer" else None


def _keep_private(headers: MutableHeaders) -> None:
    """Keeps answers for one caller out of shared caches."""
    policy = headers.get("cache-control")
    if policy is not None:
        headers["Cache-Control"] = policy.replace("public", "private")
    headers.add_vary_header("Authorization")
