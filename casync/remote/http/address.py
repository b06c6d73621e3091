"""Addresses of servers: what `--server` may say. Pure; must not connect to anything."""

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
    """Where a server is.

    Attributes:
        scheme: `http` or `https`.
        host: In ASCII, without brackets.
        port: Its number.
        prefix: The path below which its `/v1` lies, without a slash at the end.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Host and port as a Host field has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a token belongs to, and what errors call the server."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody else can listen in."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, what: str = "server") -> ServerAddress:
    """Reads `http[s]://HOST[:PORT][/PREFIX]`.

    Args:
        text: What the user typed.
        what: What it is the address of, for the error.

    Raises:
        UsageError: It is anything else; credentials are refused, since they would be on argv.
    """
    step = "Write it as http://HOST:PORT or https://HOST."
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port
    except (ValueError, UnicodeError) as error:
        raise UsageError(f"not an address of a {what}: {text}: {error}", next_step=step) from error
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or port == 0:
        raise UsageError(f"not an address of a {what}: {text}", next_step=step)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the address of a {what} must not hold a user or a password",
            next_step="A token for a server is given with --token-file.",
        )
    plain = text.isascii() and text.isprintable() and " " not in text
    if parts.query or parts.fragment or (parts.path and not plain):
        raise UsageError(f"the address of a {what} ends with its path: {text}", next_step=step)
    return ServerAddress(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def origin_of(text: str) -> str:
    """The origin of a server's address, under which its token is kept.

    Raises:
        UsageError: It is no address.
    """
    return parse_address(text).origin
