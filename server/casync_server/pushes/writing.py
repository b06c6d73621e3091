"""What a worker works with when clients may change its store. Must not know about routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from casync.errors import DeniedError, IncompleteError
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Committed, ManifestState
from casync.store.writable import WritableStore
from casync_server.pushes.proving import Proofs
from casync_server.pushes.receive_objects import Keep, ObjectReceiver
from casync_server.reading.streaming import ReadPool

__all__ = ["Writing"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Writing:
    """The store and what leads into it.

    Attributes:
        store: The store.
        pool: Where it is written: readers must not wait behind commits.
        receiver: Takes bodies.
        proofs: Proves manifests.
        spare: Bytes of the disk that pushes leave free.
        allows: Whether the caller may set a name.
    """

    store: WritableStore
    pool: ReadPool
    receiver: ObjectReceiver
    proofs: Proofs
    spare: int
    allows: Callable[[str], bool] = lambda _: True

    async def run(self, function: Callable[[], _T]) -> _T:
        """Calls `function`, which writes to the store, in a thread."""
        return await self.pool.run(function)

    def check_name(self, name: Name) -> None:
        """Looks whether the caller may set a name, and know of it.

        Raises:
            DeniedError: He may not.
        """
        if not self.allows(name):
            raise DeniedError("this token may not set that name")

    def check_room(self) -> None:
        """Looks whether anything may be sent here at all.

        Raises:
            NoSpaceError: The disk is too full.
        """
        self.store.pushes.check_room(0, spare=self.spare)

    def keep(self, push: bytes) -> Keep:
        """What keeps the objects of a push."""
        pushes = self.store.pushes

        def keep(objects: list[Verified]) -> Committed:
            return pushes.put(push, objects, spare=self.spare)

        return keep

    def publish(self, push: bytes, what: ManifestId | NameUpdate) -> NameRecord | int | None:
        """Makes a manifest full and names it, if everything below it is here.

        Args:
            push: The client's push, or empty.
            what: The manifest, or a name that shall point to it.

        Returns:
            The version that the name got; None without a name; how many objects were looked at,
            when it takes longer and must be asked for again.

        Raises:
            IncompleteError: Not everything is here.
            DeniedError: The caller may not set that name.
            UsageError: What is here is no content.
            LostRaceError, NotFoundError, NoSpaceError, WriteError: As `Pushes.publish`.
        """
        update = what if isinstance(what, NameUpdate) else None
        manifest = what.manifest if isinstance(what, NameUpdate) else what
        if update is not None:
            self.check_name(update.name)
        row = self.store.manifest(manifest)
        if row is not None and row.state is ManifestState.FULL:
            return None if update is None else self.store.set_name(update)
        proving = self.proofs.go_on(push, manifest)
        if not proving.done:
            return proving.proof.checked
        try:
            if proving.proof.missing:
                raise IncompleteError(
                    f"not all of {manifest.hex()} is here",
                    next_step="Push it: casync push.",
                    missing=proving.proof.missing,
                )
            return self.store.pushes.publish(proving.push, what, proving.proof.length)
        finally:
            if not push:
                self.store.pushes.end(proving.push)
