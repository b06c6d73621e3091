"""A view of a source for a client that may know only some of its names.

Other names do not exist in the view. The list of manifests is empty, because manifests do not say
which names they belong to. Objects are not filtered: their ids cannot be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from casync.errors import NoNameError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.store.base import Absence, ManifestRow, ManifestSource, ObjectStat

__all__ = ["FilteredSource"]


class FilteredSource:
    """A `ManifestSource` with some of the names of another one.

    Args:
        source: The other source.
        allows: Whether the client may know a name.
    """

    def __init__(self, source: ManifestSource, allows: Callable[[str], bool]) -> None:
        self._source = source
        self._allows = allows

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        return self._source.get(kind, ids)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._source.stat(kind, ids)

    def manifests(self) -> Iterator[ManifestRow]:
        """None, as the view cannot tell which ones the client may know."""
        return iter(())

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._source.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`, without other names."""
        return (record for record in self._source.names(prefix) if self._allows(record.name))

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`; empty for other names."""
        return self._source.history(name) if self._allows(name) else []

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`; other names do not exist."""
        if ref.name is not None and not self._allows(ref.name):
            raise NoNameError(f"no name {ref} here", next_step="`casync ls` lists the names.")
        return self._source.resolve(ref)
