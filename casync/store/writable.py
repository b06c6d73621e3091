"""The port of a store that others change from afar: the rungs above `ObjectStore` for a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.store.base import ObjectStore, Removed
from casync.store.lmdb.pushes import LmdbPushes
from casync.store.lmdb.trash import Removal

__all__ = ["WritableStore"]


class WritableStore(ObjectStore, Protocol):
    """A store with a trash, and an inbox for what is pushed."""

    @property
    def pushes(self) -> LmdbPushes:
        """What pushes bring."""
        ...

    def set_name(self, update: NameUpdate) -> NameRecord:
        """Points a name to a manifest; the version that points there now.

        Raises:
            LostRaceError: Another version is the newest.
            IncompleteError: Not all of the manifest is here.
            NoSpaceError, WriteError: As `commit`.
        """
        ...

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...

    def removal(self, refs: Sequence[Ref]) -> Removal:
        """What `remove` would remove. Raises as that does."""
        ...

    def remove(self, refs: Sequence[Ref]) -> Removal:
        """Moves versions of names, and manifests, into the trash, all or nothing.

        Args:
            refs: A name without a version stands for all of them. The manifests that nothing
                leads to any more go along.

        Raises:
            NoNameError: One of them is not here.
            UsageError: A name leads to a manifest that is to go.
            NoSpaceError, WriteError: As `commit`.
        """
        ...

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """Takes versions of names, and manifests, out of the trash, all or nothing.

        Raises:
            NoNameError: One of them does not lie there.
            NoSpaceError, WriteError: As `commit`.
        """
        ...

    def removed(self) -> list[Removed]:
        """What lies in the trash, the latest last."""
        ...
