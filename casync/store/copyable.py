"""The port of a store that is copied whole, row by row: a rung above `WritableStore`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from casync.ids import Kind, ManifestId, ObjectId
from casync.jobs.origin import Origin
from casync.names.name import Name, NameRecord
from casync.objects.node import Content
from casync.store.base import ManifestRow, Removed
from casync.store.writable import WritableStore

__all__ = [
    "StoreContents",
    "CopyableStore",
    "NameVersions",
    "PlacedObject",
    "RowsPart",
    "TrashedRow",
]


class NameVersions(NamedTuple):
    """All that a store knows of a name.

    Attributes:
        versions: The versions, in order.
        removed: Versions in the trash, in order.
        last: The highest number that was ever removed; 0 if none was.
    """

    versions: tuple[NameRecord, ...] = ()
    removed: tuple[Removed, ...] = ()
    last: int = 0

    @property
    def manifests(self) -> set[ManifestId]:
        """What versions point to, here and in the trash."""
        here = {ManifestId(each.manifest) for each in self.versions}
        return here | {each.manifest for each in self.removed}

    def without(self, broken: Collection[bytes]) -> NameVersions:
        """All versions but those that point to these manifests, which a later copy can add."""
        removed = [each.record for each in self.removed if each.record is not None]
        out = [each.version for each in (*self.versions, *removed) if each.manifest in broken]
        return NameVersions(
            tuple(each for each in self.versions if each.manifest not in broken),
            tuple(each for each in self.removed if each.manifest not in broken),
            min([self.last, *(number - 1 for number in out)]),
        )


class TrashedRow(NamedTuple):
    """A manifest in the trash: plain bytes, and when it was added and removed (seconds)."""

    length: int
    created: int
    removed: int


@dataclass
class RowsPart:
    """Rows of a store besides those of objects: all, or a part with what its names point to.

    Attributes:
        names: What is known of each name.
        manifests: Full manifests.
        trash: Manifests in the trash.
        retired: The hashes of names that are gone, each with the highest number it ever had.
        origins: Where the newest version of a name came from.
        indexes: StoreContents that are archives, each with its member index.
    """

    names: dict[str, NameVersions] = field(default_factory=dict)
    manifests: dict[ManifestId, ManifestRow] = field(default_factory=dict)
    trash: dict[ManifestId, TrashedRow] = field(default_factory=dict)
    retired: dict[bytes, int] = field(default_factory=dict)
    origins: dict[Name, Origin] = field(default_factory=dict)
    indexes: dict[bytes, Content] = field(default_factory=dict)

    @property
    def versions(self) -> int:
        """Number of versions of names."""
        return sum(len(known.versions) for known in self.names.values())

    @property
    def removed(self) -> int:
        """Number of versions in the trash."""
        return sum(len(known.removed) for known in self.names.values())

    @property
    def roots(self) -> dict[ManifestId, int]:
        """The manifests, here and in the trash, with the plain bytes of their contents."""
        trash = {ident: row.length for ident, row in self.trash.items()}
        return trash | {ident: row.length for ident, row in self.manifests.items()}

    def created(self, ident: ManifestId) -> int | None:
        """When a manifest was added, in seconds since 1970; None if it is not here."""
        row = self.manifests.get(ident) or self.trash.get(ident)
        return row.created if row is not None else None

    def without(self, broken: Collection[bytes]) -> RowsPart:
        """All but these manifests, and what points to them."""
        return RowsPart(
            {name: known.without(broken) for name, known in self.names.items()},
            {ident: row for ident, row in self.manifests.items() if ident not in broken},
            {ident: row for ident, row in self.trash.items() if ident not in broken},
            self.retired,
            {name: each for name, each in self.origins.items() if each.manifest not in broken},
            self.indexes,
        )


class PlacedObject(NamedTuple):
    """An object, the segment and the offset where its record lies, and bytes of its payload."""

    id: ObjectId
    segment: int
    offset: int
    stored: int


class StoreContents(Protocol):
    """The rows of one store."""

    def read(self) -> RowsPart:
        """All rows, as they are at one moment.

        Raises:
            DamagedStoreError: They contradict each other.
        """
        ...

    def about(self, part: RowsPart) -> RowsPart:
        """What is here of the names, manifests and archives of `part`."""
        ...

    def placed(self, kind: Kind) -> Iterator[PlacedObject]:
        """All objects of a kind, ordered by id."""
        ...

    def put(self, part: RowsPart) -> RowsPart:
        """Adds what is not here yet, atomically, by the rules of `casync.store.copy_rules`.

        Args:
            part: Rows whose objects are here.

        Returns:
            What was added.

        Raises:
            UsageError: A version of a name is here with another content.
            NoObjectError: A manifest is not here.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    @property
    def quota(self) -> int:
        """Bytes that the store may hold; 0 for no limit."""
        ...


class CopyableStore(WritableStore, Protocol):
    """A store that is copied to another one, or that takes a copy."""

    @property
    def contents(self) -> StoreContents:
        """Its rows."""
        ...

    def set_quota(self, limit: int) -> None:
        """Sets the quota in bytes; 0 for no limit.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ...
