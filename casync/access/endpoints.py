"""The sources of operations that fetch: stores on this machine, and servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from casync.ids import Kind, ManifestId
from casync.names.name import Ref
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.store.base import Absence, ManifestSource, ObjectSource, ObjectStore, Traffic
from casync.store.proved import HERE

__all__ = ["Endpoints", "Server", "place_of"]


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

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """One answer per wanted id or one per group, in the order asked. Lazy, as `get`.

        Yields lists of answers as they arrive: a Python step per answer would cost more than its
        bytes.

        Raises:
            RemoteError: The request failed, or the server refused it.
        """
        ...

    def close(self) -> None:
        """Closes all connections. Threads that wait for an answer get StoppedError."""
        ...


def place_of(server: Server) -> str:
    """Where an object is, in messages about a server."""
    return f"on {server.origin}"


class Endpoints(NamedTuple):
    """Stores and servers.

    Attributes:
        store: Receives manifests and nodes, and chunks if they are cached. In memory if no store
            is writable.
        lasting: Whether `store` outlives the command.
        local: Stores on this machine: sources of chunks, and of remembered files for seeds.
        servers: Sources of objects; the first one resolves names.
    """

    store: ObjectStore
    lasting: bool
    local: Sequence[ObjectStore]
    servers: Sequence[Server]

    @property
    def others(self) -> list[tuple[str, ObjectSource]]:
        """Stores on this machine that may have objects which `store` lacks, with their place."""
        return [(HERE, local) for local in self.local if local is not self.store]

    def resolve(self, ref: Ref) -> ManifestId:
        """The manifest that a ref stands for.

        A full hash stands for itself. The first server resolves names; without servers, and for
        prefixes of hashes, the local store does.

        Raises:
            NoNameError: No manifest has the name or the prefix.
            RemoteError: The request to the first server failed.
        """
        if ref.manifest is not None:
            return ref.manifest
        if ref.prefix is not None or not self.servers:
            return self.memory.resolve(ref)
        return self.servers[0].resolve(ref)

    @property
    def traffic(self) -> Traffic:
        """The traffic of all servers together."""
        return sum((server.traffic for server in self.servers), Traffic(0, 0, 0))

    @property
    def memory(self) -> ObjectStore:
        """The store that remembers local files and their content."""
        return self.local[0] if self.local else self.store
