"""The sources of operations that fetch: stores on this machine, and servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from casync.errors import UnreachableError
from casync.ids import ManifestId
from casync.names.name import Ref
from casync.store.base import ObjectSource, ObjectStore, Traffic
from casync.store.proved import HERE
from casync.store.server import Server

__all__ = ["Endpoints", "place_of"]


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
        servers: Sources of objects. The first one that can be reached resolves names, and is the
            first of them from then on.
    """

    store: ObjectStore
    lasting: bool
    local: Sequence[ObjectStore]
    servers: list[Server]

    @property
    def others(self) -> list[tuple[str, ObjectSource]]:
        """Stores on this machine that may have objects which `store` lacks, with their place."""
        return [(HERE, local) for local in self.local if local is not self.store]

    def resolve(self, ref: Ref) -> ManifestId:
        """The manifest that a ref stands for, which all servers learn to expect.

        A full hash stands for itself. The first server that can be reached resolves names; without
        servers, and for prefixes of hashes, the local store does.

        Raises:
            NoNameError: No manifest has the name or the prefix.
            RemoteError: The request failed, or no server can be reached.
        """
        if ref.manifest is not None:
            ident = ref.manifest
        elif ref.prefix is not None or not self.servers:
            ident = self.memory.resolve(ref)
        else:
            ident = self._resolve_there(ref)
        for server in self.servers:
            server.expects(ident)
        return ident

    def _resolve_there(self, ref: Ref) -> ManifestId:
        for number, server in enumerate(self.servers, 1):
            try:
                ident = server.resolve(ref)
            except UnreachableError:
                if number == len(self.servers):
                    raise
            else:
                self.servers.remove(server)
                self.servers.insert(0, server)
                return ident
        raise AssertionError

    @property
    def traffic(self) -> Traffic:
        """The traffic of all servers together."""
        return sum((server.traffic for server in self.servers), Traffic(0, 0, 0))

    @property
    def memory(self) -> ObjectStore:
        """The store that remembers local files and their content."""
        return self.local[0] if self.local else self.store
