"""The ports of a store that clients change through a server: rungs above `ObjectStore`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.store.base import ObjectStore, Removal, Removed
from casync.store.jobs import JobStore
from casync.store.push import Pushes

__all__ = ["Editable", "WritableStore"]


class Editable(Protocol):
    """Names and a trash: those of a store, or of a server.

    A server also raises DeniedError, RemoteError and StoppedError, and RemoteError in place of
    UsageError for mistakes that only the server finds.
    """

    def set_name(self, update: NameUpdate) -> NameRecord:
        """Points a name to a manifest; returns the version that points there.

        Raises:
            LostRaceError: The newest version is not the expected one.
            IncompleteError: The manifest is not full.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...

    def removal(self, refs: Sequence[Ref]) -> Removal:
        """What `remove` would remove. Raises as `remove`."""
        ...

    def remove(self, refs: Sequence[Ref]) -> Removal:
        """Moves versions of names, and manifests, into the trash, atomically.

        Args:
            refs: A name without a version stands for all its versions. Manifests that have no
                other name go with them.

        Raises:
            NoNameError: One of `refs` is not here.
            UsageError: A manifest among `refs` still has a name.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """Takes versions of names, and manifests, out of the trash, atomically.

        Raises:
            NoNameError: One of `refs` is not in the trash.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    def removed(self) -> Iterable[Removed]:
        """The entries of the trash, the latest removal last."""
        ...


class WritableStore(ObjectStore, Editable, Protocol):
    """A store that takes pushes, keeps jobs, and whose names and trash can be changed."""

    @property
    def pushes(self) -> Pushes:
        """The pushes of the store."""
        ...

    @property
    def jobs(self) -> JobStore:
        """The jobs of the store."""
        ...

    def removed(self) -> list[Removed]:
        """As `Editable.removed`."""
        ...
