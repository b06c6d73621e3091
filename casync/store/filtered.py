"""A store as somebody sees it who may know some names only.

Names that are not his are not there, and neither is the list of manifests, which could not be told
apart. An object is had by who knows its id, which nobody can guess. Must not know who it is.
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
    """A `ManifestSource` that knows some names of another one.

    Args:
        source: The other one.
        allows: Whether a name may be known.
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
        """None: nobody could tell whose they are."""
        return iter(())

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._source.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """Those that may be known."""
        return (record for record in self._source.names(prefix) if self._allows(record.name))

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`, of a name that may be known."""
        return self._source.history(name) if self._allows(name) else []

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`; a name that may not be known is not here."""
        if ref.name is not None and not self._allows(ref.name):
            raise NoNameError(f"no name {ref} here", next_step="`casync ls` lists the names.")
        return self._source.resolve(ref)
