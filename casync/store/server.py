"""The port of a server: a source of manifests and objects at the other end of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from casync.ids import Kind, ManifestId
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.store.base import Absence, ManifestSource, Traffic

__all__ = ["Server"]


class Server(ManifestSource, Protocol):
    """A remote source that has an origin, counts its traffic, and can be closed."""

    @property
    def origin(self) -> str:
        """Its address in error messages."""
        ...

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        ...

    @property
    def deltas_pay(self) -> bool:
        """Whether requests for deltas currently save time."""
        ...

    def expects(self, manifest: ManifestId) -> None:
        """Learns that objects below a manifest will be asked for.

        A static site finds objects by the manifests that lead to them.
        """
        ...

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """One answer per wanted id or one per group, in the order asked. Lazy, as `get`.

        Yields lists of answers as they arrive: a Python step per answer would cost more than its
        bytes. Payloads of chunks may be views of what arrived with them.

        Raises:
            RemoteError: The request failed, or the server refused it.
        """
        ...

    def close(self) -> None:
        """Closes all connections. Threads that wait for an answer get StoppedError."""
        ...
