"""The hook that decides which addresses may be connected to."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Egress"]


class Egress(Protocol):
    """Decides whether a connection may be made.

    It is asked with the address that the connection then goes to, so that a name that resolves
    differently a moment later cannot lead elsewhere.
    """

    def __call__(self, host: str, address: str, port: int) -> None:
        """Called before each connection, also after redirects.

        Args:
            host: The host of the URL.
            address: One IP address of it, to which the connection is made next.
            port: The TCP port.

        Raises:
            DeniedError: The connection is not allowed.
        """
        ...
