"""Keeps web pages away from a server that asks for no password.

A page can make a browser send requests to 127.0.0.1, under a name of its own that resolves there
(DNS rebinding) or across origins. Without authentication the Host must therefore be the address
that the request came in on, and a foreign Origin is refused; there is no CORS. The same layer
refuses fields that may occur once and occur twice, and puts the safety headers on every answer.

Must not look at paths: what is allowed here is allowed for all routes.
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
    """Host values under which the local end of a connection may be addressed.

    Args:
        server: Address and port that the connection came in on, as ASGI gives it.
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
    if port in (80, 443):  # what a URL leaves out
        hosts.update(names)
    return frozenset(hosts)


class Guard:
    """ASGI middleware that refuses what a browser would send on behalf of a foreign page.

    Args:
        app: What lies behind.
        any_host: Answer to every Host: the operator chose a public address without authentication.
        hosts: Further Host values to answer.
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
                return 400, f"the field {name.decode('latin-1')} occurs twice"
            fields[name] = value.decode("latin-1")
        host = fields.get(b"host")
        if host is None:
            return 400, "a request needs a Host field"
        return self._foreign(scope, host.lower(), fields)

    def _foreign(self, scope: Scope, host: str, fields: dict[bytes, str]) -> tuple[int, str] | None:
        server = scope.get("server")
        over_unix = server is not None and server[1] is None
        if not (self._any_host or over_unix or host in own_hosts(server) | self._hosts):
            return 403, "this server does not answer to that Host; use the address it listens on"
        origin = fields.get(b"origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return 403, "requests from other origins are refused"
        navigates = fields.get(b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if fields.get(b"sec-fetch-site") in _CROSS and not navigates:
            return 403, "requests from other sites are refused"
        return None
