"""A source whose walks reach a checkpoint at every read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.store.base import Absence, ManifestRow, ManifestSource, ObjectStat
from casync_server.limits.request_work import checkpoint

__all__ = ["CheckedSource"]

_T = TypeVar("_T")


class CheckedSource:
    """A `ManifestSource` over another one. Each call, and each item read, is a checkpoint.

    Args:
        source: The other source.
    """

    def __init__(self, source: ManifestSource) -> None:
        self._source = source

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        checkpoint()
        return self._source.get(kind, ids)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        checkpoint()
        return self._source.stat(kind, ids)

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return _checked(self._source.manifests())

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._source.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        return _checked(self._source.names(prefix))

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        checkpoint()
        return self._source.history(name)

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        checkpoint()
        return self._source.resolve(ref)


def _checked(items: Iterable[_T]) -> Iterator[_T]:
    for item in items:
        checkpoint()
        yield item
