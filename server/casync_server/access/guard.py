"""Protects a server without authentication from web pages in a local browser.

A page can make a browser send requests to 127.0.0.1, either under its own name that resolves to
that address (DNS rebinding) or across origins. Without authentication, Host must therefore be the
address that the connection came in on, and a foreign Origin is refused; there is no CORS. This
layer also refuses repeated fields that may occur only once, and adds security headers to every
answer. Its rules apply to all routes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casync_server.problems import problem_response

__all__ = ["Guard", "own_hosts"]

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
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_SAFETY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_CROSS: Final = frozenset({"cross-site", "same-site"})


def own_hosts(server: tuple[str, int | None] | None) -> frozenset[str]:
    """Host values that address the local end of a connection.

    Args:
        server: Address and port that the connection came in on, as in the ASGI scope.
    """
    if server is None or server[1] is None:
        return frozenset()
    host, port = server
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names = [host]
    else:
        names = [f"[{host}]" if address.version == 6 else host]
        if address.is_loopback:
            names.extend(_LOCAL_NAMES)
    hosts = {f"{name}:{port}" for name in names}
    if port in (80, 443):  # default ports, which URLs omit
        hosts.update(names)
    return frozenset(hosts)


class Guard:
    """ASGI middleware that refuses requests that a browser sends for a foreign page.

    Args:
        app: The application behind it.
        any_host: Accept every Host: tokens are required, or the operator chose to go without.
        hosts: Further Host values to accept.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._any_host = any_host
        self._hosts = frozenset(host.lower() for host in hosts)

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

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, safe)
        else:
            await problem_response(*refusal)(scope, receive, safe)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        fields: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in fields and name in _ONCE:
                return 400, f"the header field {name.decode('latin-1')} occurs twice"
            fields[name] = value.decode("latin-1")
        host = fields.get(b"host")
        if host is None:
            return 400, "the request has no Host field"
        return self._foreign(scope, host.lower(), fields)

    def _foreign(self, scope: Scope, host: str, fields: dict[bytes, str]) -> tuple[int, str] | None:
        server = scope.get("server")
        over_unix = server is not None and server[1] is None
        if not (self._any_host or over_unix or host in own_hosts(server) | self._hosts):
            return 403, "unknown Host; use the address that the server listens on"
        origin = fields.get(b"origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return 403, "cross-origin requests are refused"
        navigates = fields.get(b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if fields.get(b"sec-fetch-site") in _CROSS and not navigates:
            return 403, "cross-site requests are refused"
        return None
