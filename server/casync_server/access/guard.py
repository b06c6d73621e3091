"""Protects a server without authentication from web pages in a local browser.

A page can make a browser send requests to 127.0.0.1, either under its own name that resolves to
that address (DNS rebinding) or across origins. Without authentication, Host must therefore be the
address that the connection came in on, or a name of this machine that no page can have, with any
port: tunnels and published ports have ports of their own. A foreign Origin is refused; there is no
CORS. This layer also refuses repeated fields that may occur only once, and adds security headers to
every answer. Its rules apply to all routes.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casync.escape import escape
from casync_server.access.auth import CurrentTokens
from casync_server.problems import problem_response

__all__ = ["Guard", "is_own_host"]

_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"if-range",
        b"origin",
        b"range",
        b"transfer-encoding",
    }
)
_LOCAL: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.ASCII)
_LONGEST_HOST: Final = 300
"""Characters of a Host that the log shows; a name of the DNS has at most 253."""

_NOTE_SECONDS: Final = 5.0
"""Time between two lines about refused hosts, which clients can invent."""

_KNOWN_HOSTS: Final = 1000
"""Hosts that a worker remembers to have written about."""

_SAFETY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_CROSS: Final = frozenset({"cross-site", "same-site"})


def is_own_host(host: str, server: tuple[str, int | None] | None) -> bool:
    """Whether a Host value, in lower case, addresses the local end of a connection.

    Args:
        host: The value.
        server: Address and port that the connection came in on, as in the ASGI scope.
    """
    if server is None or server[1] is None:
        return False
    name, port = server
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        name = f"[{name}]" if address.version == 6 else name
        if address.is_loopback and _LOCAL.fullmatch(host):
            return True
    # URLs omit the default ports.
    return host == f"{name}:{port}" or (host == name and port in (80, 443))


class Guard:
    """ASGI middleware that refuses requests that a browser sends for a foreign page.

    Args:
        app: The application behind it.
        any_host: Accept every Host: the operator chose to go without tokens.
        tokens: The tokens of the store. If it requires one, every Host is accepted: DNS rebinding
            gains nothing, since the page has no token.
        hosts: Further Host values to accept.
        say: Prints a line for the operator.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        any_host: bool,
        tokens: CurrentTokens | None = None,
        hosts: Collection[str] = (),
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._any_host = any_host
        self._tokens = tokens
        self._hosts = frozenset(hosts)
        self._say = say
        self._clock = clock
        self._next_note = clock()
        self._refused: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 400 or 403, or passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFETY.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = await self._refusal(scope) or self._app
        await refusal(scope, receive, safe)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        fields: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in fields and name in _ONCE:
                twice = f"the header field {name.decode('latin-1')} occurs twice"
                return problem_response(400, twice)
            fields[name] = value.decode("latin-1")
        host = fields.get(b"host")
        if host is None:
            return problem_response(400, "the request has no Host field")
        host = host.lower()
        if not await self._accepts(host, scope.get("server")):
            self._note(host)
            return problem_response(
                403,
                "unknown Host; use the address that the server listens on",
                next_step="Its operator can accept this one with CASYNC_SERVE_HOSTS.",
            )
        origin = fields.get(b"origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return problem_response(403, "cross-origin requests are refused")
        navigates = fields.get(b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if fields.get(b"sec-fetch-site") in _CROSS and not navigates:
            return problem_response(403, "cross-site requests are refused")
        return None

    async def _accepts(self, host: str, server: tuple[str, int | None] | None) -> bool:
        over_unix = server is not None and server[1] is None
        if self._any_host or over_unix or host in self._hosts or is_own_host(host, server):
            return True
        return self._tokens is not None and (await self._tokens.known()).required

    def _note(self, host: str) -> None:
        """Tells the operator how to accept a Host: once for each, and not too often."""
        now = self._clock()
        if host in self._refused or now < self._next_note:
            return
        self._next_note = now + _NOTE_SECONDS
        if len(self._refused) >= _KNOWN_HOSTS:
            self._refused.clear()
        self._refused.add(host)
        self._say(
            f"refused the unknown Host {escape(host[:_LONGEST_HOST])}; to accept it, add it to "
            "CASYNC_SERVE_HOSTS"
        )
