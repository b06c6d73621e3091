"""Listening addresses: parses `ADDR:PORT` and `unix:PATH`, and binds them.

Only IP addresses and `localhost` are accepted: a name could resolve differently between the check
for a public address and the bind.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from casync.errors import CasyncError, DeniedError, LockedError, UsageError, WriteError
from casync.remote.http.address import parse_address
from casync_server.options import ServeOptions

__all__ = ["Listen", "bind", "exposed", "is_local", "parse_listen", "refuse_own", "url_of"]

_BACKLOG: Final = 1024
_MAX_UNIX_PATH: Final = 107  # bytes; sun_path less its final NUL
_TCP: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", re.ASCII)


class Listen(NamedTuple):
    """An address to listen on: `host` and `port`, or `path` of a Unix socket."""

    host: str
    port: int
    path: Path | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether it is a loopback address. A Unix socket is none: a proxy may relay to it."""
        return self.path is None and ipaddress.ip_address(self.host).is_loopback

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        return self.path is None and not self.is_loopback

    def __str__(self) -> str:
        """The address as a user types it."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """Reads `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`.

    Raises:
        UsageError: It is none of these.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path or len(os.fsencode(path)) > _MAX_UNIX_PATH:
            raise UsageError(f"the path of a Unix socket needs 1 to {_MAX_UNIX_PATH} bytes: {text}")
        return Listen("", 0, Path(path))
    match = _TCP.fullmatch(text)
    host = "" if match is None else match[1] or match[2]
    port = -1 if match is None else int(match[3])
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise _not_an_address(text) from error
    if match is None or port > 65535 or (address.version == 6) != bool(match[1]):
        raise _not_an_address(text)
    return Listen(str(address), port)


def is_local(listen: Iterable[str]) -> bool:
    """Whether only this machine can reach a server with these addresses. Raises as above."""
    return all(parse_listen(text).is_loopback for text in listen)


def _not_an_address(text: str) -> UsageError:
    return UsageError(
        f"cannot listen on {text}: not ADDR:PORT, [V6]:PORT or unix:PATH",
        next_step="Give an IP address and a port, for example 127.0.0.1:8080.",
    )


def bind(listen: Listen) -> socket.socket:
    """Binds and listens. A Unix socket is private to its owner.

    Raises:
        LockedError: Another process listens there.
        UsageError: The machine does not have this address.
        DeniedError: A right is missing.
        WriteError: The Unix socket cannot be created.
        CasyncError: The system refuses for another reason.
    """
    if listen.path is not None:
        return _bind_unix(listen.path)
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CasyncError(f"cannot listen on {listen}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((listen.host, listen.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise LockedError(
                f"cannot listen on {listen}: another process listens there",
                next_step="Stop it, or choose another port with --listen.",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(
                f"cannot listen on {listen}: this machine does not have that address"
            ) from error
        if error.errno == errno.EACCES:
            raise DeniedError(
                f"cannot listen on {listen}: permission denied",
                next_step="Ports below 1024 are for root: choose another with --listen.",
            ) from error
        raise CasyncError(f"cannot listen on {listen}: {error.strerror}") from error
    return sock


def _bind_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        # Connections are possible only after listen(), so wider permissions are never usable.
        os.chmod(path, 0o600)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise LockedError(
                f"cannot listen on unix:{path}: the path exists and is not an unused socket"
            ) from error
        if error.errno == errno.EACCES:
            raise DeniedError(f"cannot listen on unix:{path}: permission denied") from error
        raise WriteError(f"cannot listen on unix:{path}: {error.strerror}") from error
    return sock


def _remove_stale(path: Path) -> None:
    """Removes the socket of a server that is gone; leaves anything else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError:
            return


def exposed(addresses: Iterable[Listen], options: ServeOptions) -> str:
    """The first public address, if it requires tokens; else empty."""
    public = [str(address) for address in addresses if address.public]
    let_in = options.insecure_no_auth or options.client_ca is not None
    return public[0] if public and not let_in else ""


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """The URL of a bound socket, with its actual port."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[0], name[1]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def refuse_own(upstream: str, sockets: Iterable[socket.socket]) -> None:
    """Refuses an upstream server that is this one.

    Args:
        upstream: Its URL.
        sockets: The listening sockets.

    Raises:
        UsageError: A connection to `upstream` would come in on one of `sockets`.
    """
    address = parse_address(upstream, "server")
    ours = [sock.getsockname()[:2] for sock in sockets if sock.family != socket.AF_UNIX]
    if all(port != address.port for _, port in ours):
        return
    found: list[str] = []
    with contextlib.suppress(OSError):  # a name that cannot be resolved now may be later
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        found = [str(info[4][0]) for info in infos]
    for host, port in ours:
        everywhere = ipaddress.ip_address(host).is_unspecified
        for each in found:
            if port == address.port and (each == host or (everywhere and _is_here(each))):
                raise UsageError(
                    f"--upstream {address.origin} is this server itself",
                    next_step="Name the server that has the content.",
                )


def _is_here(host: str) -> bool:
    """Whether an IP address belongs to this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
