"""Tells systemd, or whoever started us, how things are: the protocol of sd_notify(3).

Without `NOTIFY_SOCKET` in the environment nobody wants to know.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Sends `state`, such as `READY=1`. Nobody waits for it, so its loss is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name without a file
        address = "\0" + address[1:]
    flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, flags) as sock:
        sock.sendto(state.encode(), address)
