"""The port of member indexes: which content in a store is the index of an archive.

An index is made from its archive, so it may be lost at any time and is made again. It has no
manifest: only its row leads to it, and it stays for as long as its archive does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from casync.ids import ManifestId
from casync.objects.node import Content
from casync.store.base import Batch, Committed, ObjectSource

__all__ = ["IndexLister", "IndexServer", "IndexedStore"]


@runtime_checkable
class IndexedStore(ObjectSource, Protocol):
    """A store that keeps member indexes. `Batch.member_indexes` sets them."""

    def member_index(self, archive: bytes) -> Content | None:
        """The index of the archive with this content id, if there is one.

        Its objects may be missing, and its row is not proved. A damaged row is none.
        """
        ...

    def commit(self, batch: Batch) -> Committed:
        """As `ObjectStore.commit`."""
        ...


@runtime_checkable
class IndexLister(Protocol):
    """A store that lists its member indexes."""

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """All indexes, each with the content id of its archive, as `member_index` gives them."""
        ...


@runtime_checkable
class IndexServer(ObjectSource, Protocol):
    """A server that makes member indexes. What they say is its word."""

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """The content that the index of an archive is; None if the server has none.

        Args:
            manifest: A manifest of the server.
            path: Where the archive is in its tree; empty for the whole.

        Raises:
            RemoteError, DeniedError: The request failed.
        """
        ...

    @property
    def origin(self) -> str:
        """Its address in error messages."""
        ...
