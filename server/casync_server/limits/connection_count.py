"""Limits the connections of a worker, in total and per address."""

from __future__ import annotations

import ipaddress
from collections import Counter

from casync_server.http.request_head import Refusal
from casync_server.settings import ServerSettings

__all__ = ["ConnectionCount", "address_group"]


class ConnectionCount:
    """Counts the connections of a worker, in total and per address."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str | None) -> Refusal | None:
        """Counts a connection from `address` (None: a Unix socket), or returns a refusal."""
        if self.total >= self._settings.connections:
            return Refusal(503, "the server has too many connections")
        if address is not None:
            group = address_group(address)
            if self._by_address[group] >= self._settings.address_connections:
                return Refusal(503, "too many connections from your address")
            self._by_address[group] += 1
        self.total += 1
        return None

    def leave(self, address: str | None) -> None:
        """Removes a counted connection."""
        self.total -= 1
        if address is not None:
            group = address_group(address)
            self._by_address[group] -= 1
            if not self._by_address[group]:
                del self._by_address[group]


def address_group(address: str) -> str:
    """The addresses of one subscriber: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
