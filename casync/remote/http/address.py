"""Parses the addresses of servers, as `--server` takes them."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from casync.errors import UsageError

__all__ = ["ServerAddress", "origin_of", "parse_address"]

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[0-9a-z._-]{1,253}|[0-9a-f:.]{2,45}", re.ASCII)


class ServerAddress(NamedTuple):
    """The address of a server.

    Attributes:
        scheme: `http` or `https`.
        host: In ASCII, without brackets.
        port: TCP port.
        prefix: The path that contains `/v1`, without a slash at the end.
        query: What is sent with every request, such as the signature of a prefix at Azure: a
            secret, which no message shows.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    query: str = ""

    @property
    def authority(self) -> str:
        """Host and port in the form of a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: the scope of a token, and the server's name in messages."""
        return f"{self.scheme}://{self.authority}"

    def target(self, path: str) -> str:
        """What a request for `path`, which may have a query of its own, asks the server for."""
        if not self.query:
            return self.prefix + path
        return f"{self.prefix}{path}{'&' if '?' in path else '?'}{self.query}"

    @property
    def is_loopback(self) -> bool:
        """Whether connections stay on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, what: str = "server", port: int | None = None) -> ServerAddress:
    """Reads `http[s]://HOST[:PORT][/PREFIX][?QUERY]`.

    Args:
        text: The address as the user typed it.
        what: The noun for errors: "server" or "proxy".
        port: The port of an address without one; None for that of its scheme.

    Raises:
        UsageError: `text` has another form, or holds credentials, which argv would expose.
    """
    step = "Write it as http://HOST:PORT or https://HOST."
    shown, mark, query = text.partition("?")
    if "@" in text:  # a password may contain every delimiter
        shown = f"{text.partition('://')[0]}://***" if "://" in text else "***"
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        given = parts.port
    except (ValueError, UnicodeError) as error:
        raise UsageError(
            f"not an address of a {what}: {shown}: not a URL", next_step=step
        ) from error
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or given == 0:
        raise UsageError(f"not an address of a {what}: {shown}", next_step=step)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the address of a {what} must not contain a user or a password",
            next_step="Give the token of a server with --token-file."
            if what == "server"
            else "Write USER:PASSWORD into a file and name it with --proxy-auth FILE.",
        )
    plain = text.isascii() and text.isprintable() and " " not in text
    is_wrong = not plain and (parts.path or query)
    if is_wrong or parts.fragment or (mark and (what == "proxy" or not query)):
        raise UsageError(
            f"the address of a {what} ends with a path of printable ASCII: {shown}", next_step=step
        )
    path = parts.path.rstrip("/")
    address = ServerAddress(parts.scheme, host, given or port or _PORTS[parts.scheme], path, query)
    prefix, request, _ = f"{path}/".partition("/v1/")
    if request:
        raise UsageError(
            f"the address of a {what} ends before /v1: {shown}",
            next_step=f"Give {address.origin}{prefix}.",
        )
    return address


def origin_of(text: str) -> str:
    """The origin of a server's address, which is the key of its token.

    Raises:
        UsageError: `text` is not an address.
    """
    return parse_address(text).origin
