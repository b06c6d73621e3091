"""Reports the state of the server to systemd, by the protocol of sd_notify(3).

Does nothing without `NOTIFY_SOCKET` in the environment.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Sends `state`, such as `READY=1`. Errors are ignored."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, flags) as sock:
        sock.sendto(state.encode(), address)
