"""The ports of what others change from afar: the rungs above `ObjectStore` for a server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.store.base import ObjectStore, Removal, Removed
from casync.store.push import Pushes

__all__ = ["Editable", "WritableStore"]


class Editable(Protocol):
    """A place with names and a trash: a store, or a server.

    A server raises DeniedError, RemoteError and StoppedError as well, and RemoteError in place of
    UsageError where it finds the mistake itself.
    """

    def set_name(self, update: NameUpdate) -> NameRecord:
        """Points a name to a manifest; the version that points there now.

        Raises:
            LostRaceError: Another version is the newest.
            IncompleteError: Not all of the manifest is here.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
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
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """Takes versions of names, and manifests, out of the trash, all or nothing.

        Raises:
            NoNameError: One of them does not lie there.
            NoSpaceError, WriteError: As `ObjectStore.commit`.
        """
        ...

    def removed(self) -> Iterable[Removed]:
        """What lies in the trash, the latest last."""
        ...


class WritableStore(ObjectStore, Editable, Protocol):
    """A store that takes pushes, and whose names and trash can be changed."""

    @property
    def pushes(self) -> Pushes:
        """What pushes bring."""
        ...

    def removed(self) -> list[Removed]:
        """As `Editable.removed`."""
        ...
