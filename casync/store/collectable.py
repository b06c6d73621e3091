"""The port of a store with garbage collection, a rung above `ObjectStore`.

A collection lists its roots, the caller marks all objects below them, and the collection deletes
the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeAlias

from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.objects.node import Content
from casync.store.base import ObjectStore
from casync.store.push import OpenPush

__all__ = ["CollectableStore", "Collection", "Dead", "IsMarked", "Swept"]

IsMarked: TypeAlias = Callable[[Kind, ObjectId], bool]
"""Whether an object is marked. Called in the order of ids, one kind after the other."""


class Dead(NamedTuple):
    """An unmarked object: its plain bytes, and the bytes of its record."""

    kind: Kind
    id: ObjectId
    length: int
    stored: int


class Swept(NamedTuple):
    """Deleted objects, the bytes of their records, and deleted empty segments."""

    objects: int = 0
    stored: int = 0
    segments: int = 0

    @staticmethod
    def total(parts: Iterable[Swept]) -> Swept:
        """The sum."""
        columns = list(zip(*parts, strict=True))
        return Swept(*map(sum, columns)) if columns else Swept()


class Collection(Protocol):
    """One collection. It begins a new generation.

    Attributes:
        emptied: Number of manifests and versions of names that left the trash for good.
        pushes: The pushes that were open when it began, the one silent for longest first.
        held: Unmarked objects that `dead` has left out so far because these pushes keep them.
    """

    emptied: int
    pushes: list[OpenPush]
    held: Swept

    def roots(self) -> list[ManifestId]:
        """The manifests to keep. The caller must mark them, and everything below them."""
        ...

    def member_indexes(self) -> Iterator[tuple[bytes, Content]]:
        """The ids of contents that have a member index, in order, each with its index.

        The caller marks the index of each marked content, and drops the others. Malformed rows are
        left out.
        """
        ...

    def half_fetched(self) -> Iterator[Sequence[ChunkId]]:
        """The chunks of the half-fetched objects of all jobs, some at a time.

        The caller marks them, so that a job that was stopped goes on where it was. Those of jobs
        that are gone, and malformed rows, are left out.
        """
        ...

    def drop_indexes(self, archives: Sequence[bytes]) -> None:
        """Removes the rows of the member indexes of these contents.

        Raises:
            NoSpaceError: There is no room. The rest stays for the next collection.
        """
        ...

    def dead(self, is_marked: IsMarked) -> Iterator[Dead]:
        """Unmarked objects that are older than the generation any living writer relies on."""
        ...

    def delete(self, dead: Sequence[Dead]) -> Swept:
        """Deletes those of `dead` that no writer has relied on since. Durable on return."""
        ...

    def compact(self) -> int:
        """Moves live objects out of segments that are mostly dead; returns the bytes moved.

        Raises:
            NoSpaceError: There is no room for more. What was moved stays moved.
        """
        ...

    def sweep_jobs(self) -> int:
        """Removes rows of jobs that nothing needs.

        These are old finished jobs that are not among the newest, the lists of finished jobs, rows
        of jobs that are gone, and origins of versions that are no longer the newest.

        Returns:
            How many were removed.

        Raises:
            NoSpaceError: There is no room for more. What was removed stays removed.
        """
        ...

    def note(self, swept: Swept, seconds: float) -> None:
        """Adds the result and the duration to the store's statistics of collections.

        Raises:
            NoSpaceError: There is no room for the row.
        """
        ...


class CollectableStore(ObjectStore, Protocol):
    """A store whose objects can be collected."""

    def collection(
        self, *, window: float, dry_run: bool = False, drop_pushes: bool = False
    ) -> AbstractContextManager[Collection]:
        """Begins a collection; there is only one at a time.

        Args:
            window: Seconds for which the trash keeps its entries, and at least until the second
                collection; 0 keeps none.
            dry_run: Only look; `delete` is not allowed.
            drop_pushes: End all open pushes, in the transaction that begins the collection. What
                one of them has published before is a root; none can publish afterwards.

        Raises:
            LockedError: Another collection is running.
        """
        ...
