"""The port of a store whose objects can be collected: the rung above `ObjectStore`.

A collection asks for its roots, is told by the caller what they lead to, and deletes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeAlias

from casync.ids import Kind, ManifestId, ObjectId
from casync.store.base import ObjectStore

__all__ = ["CollectableStore", "Collection", "Dead", "IsMarked", "Swept"]

IsMarked: TypeAlias = Callable[[Kind, ObjectId], bool]
"""Whether a root leads to an object. Asked in the order of ids, one kind after the other."""


class Dead(NamedTuple):
    """An object that no root leads to: its plain bytes, and those of its record."""

    kind: Kind
    id: ObjectId
    length: int
    stored: int


class Swept(NamedTuple):
    """What was deleted: objects, the bytes of their records, segments that were left empty."""

    objects: int = 0
    stored: int = 0
    segments: int = 0

    @staticmethod
    def total(parts: Iterable[Swept]) -> Swept:
        """The sum."""
        columns = list(zip(*parts, strict=True))
        return Swept(*map(sum, columns)) if columns else Swept()


class Collection(Protocol):
    """One collection, from the new generation that it begins with.

    Attributes:
        emptied: Manifests and versions of names whose time in the trash was over.
    """

    emptied: int

    def roots(self) -> list[ManifestId]:
        """The manifests that everything below must be kept of. Mark all of them."""
        ...

    def dead(self, is_marked: IsMarked) -> Iterator[Dead]:
        """What is not marked, and older than any living writer relies on."""
        ...

    def delete(self, dead: Sequence[Dead]) -> Swept:
        """Deletes those that no writer has come to rely on since, durably."""
        ...

    def compact(self) -> int:
        """Moves what lives out of segments that are mostly dead; says how many bytes moved.

        Raises:
            NoSpaceError: There is no room to move anything. What was moved stays moved.
        """
        ...

    def note(self, swept: Swept, seconds: float) -> None:
        """Adds what was done, and how long it took, to what the store says of collections.

        Raises:
            NoSpaceError: There is no room for that.
        """
        ...


class CollectableStore(ObjectStore, Protocol):
    """A store that deletes."""

    def collection(
        self, *, window: float, dry_run: bool = False
    ) -> AbstractContextManager[Collection]:
        """Begins a collection; there is only one at a time.

        Args:
            window: Seconds for which removed things are kept, and at least until the second
                collection; 0 keeps none.
            dry_run: Only to look: nothing may be deleted then.

        Raises:
            LockedError: Another one is running.
        """
        ...
