"""What the operations that fetch work with: stores of this machine, and servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from casync.ids import Kind, ManifestId
from casync.names.name import Ref
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.store.base import Absence, ManifestSource, ObjectSource, ObjectStore, Traffic

__all__ = ["Ports", "Server"]


class Server(ManifestSource, Protocol):
    """A remote source that has a name, counts its traffic, and can be hung up on."""

    @property
    def origin(self) -> str:
        """What errors call it."""
        ...

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        ...

    @property
    def deltas_pay(self) -> bool:
        """Whether asking for deltas saves time just now."""
        ...

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """One answer per id that is wanted or one per group, in the order asked.

        Lists of them, as they arrive: a step for each answer would cost more than its bytes. Lazy,
        as `get`.

        Raises:
            RemoteError: The server could not be asked, or refused.
        """
        ...

    def close(self) -> None:
        """Ends all connections; whoever waits for an answer gets StoppedError."""
        ...


class Ports(NamedTuple):
    """Stores and servers.

    Attributes:
        store: Takes manifests and nodes, and chunks when they are to be kept. In memory when
            there is no store that can be written.
        lasting: Whether `store` outlives the command.
        local: Stores of this machine: they give chunks, and know which files may be seeds.
        servers: The first one resolves names; all give objects.
    """

    store: ObjectStore
    lasting: bool
    local: Sequence[ObjectStore]
    servers: Sequence[Server]

    @property
    def others(self) -> list[ObjectSource]:
        """Stores of this machine that may have manifests and nodes that are not in `store`."""
        return [local for local in self.local if local is not self.store]

    def resolve(self, ref: Ref) -> ManifestId:
        """The manifest that a ref stands for: a full hash is itself, a name is the first server's.

        Raises:
            NoNameError: Nothing answers to it.
            RemoteError: The first server could not be asked.
        """
        if ref.manifest is not None:
            return ref.manifest
        if ref.prefix is not None or not self.servers:
            return self.memory.resolve(ref)
        return self.servers[0].resolve(ref)

    @property
    def traffic(self) -> Traffic:
        """What went over the wire to and from all servers."""
        return sum((server.traffic for server in self.servers), Traffic(0, 0, 0))

    @property
    def memory(self) -> ObjectStore:
        """Who remembers files and what they held."""
        return self.local[0] if self.local else self.store
