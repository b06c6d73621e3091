"""Ends pushes without publishing, so that what only they keep can be collected."""

from __future__ import annotations

from typing import Protocol

from casync.store.push import OpenPush

__all__ = ["PushEnder", "abort_all"]


class PushEnder(Protocol):
    """A server whose pushes can be ended."""

    def open_pushes(self) -> list[OpenPush]:
        """The open pushes, the one that was silent for longest first.

        Raises:
            DeniedError: Only administrators may list them.
            RemoteError, StoppedError: The server failed.
        """
        ...

    def end_push(self, push: str) -> None:
        """Ends a push. Does nothing if it has ended already. Raises as `open_pushes`."""
        ...


def abort_all(server: PushEnder, *, dry_run: bool = False) -> list[OpenPush]:
    """Ends all open pushes, and returns them. What they have published stays.

    Args:
        server: The server.
        dry_run: Only list them.

    Raises:
        DeniedError, RemoteError, StoppedError: As `PushEnder.open_pushes`.
    """
    pushes = server.open_pushes()
    for push in () if dry_run else pushes:
        server.end_push(push.id.hex())
    return pushes
