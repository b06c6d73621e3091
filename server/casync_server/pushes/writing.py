"""Changes of a store on behalf of clients, by one worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from casync.errors import (
    DeniedError,
    IncompleteError,
    NoObjectError,
    NotFoundError,
    UnreachableError,
)
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Committed, ManifestState
from casync.store.writable import WritableStore
from casync_server.pushes.proving import Proofs
from casync_server.pushes.receive_objects import Keep, ObjectReceiver
from casync_server.reading.read_pool import ReadPool

__all__ = ["Writing"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Writing:
    """A writable store, and everything that writes to it.

    Attributes:
        store: The store.
        pool: Threads for writes, apart from those of readers, which must not wait for commits.
        receiver: Receives objects.
        proofs: Proves manifests.
        spare: Bytes that pushes leave free on the disk.
        allows: Returns whether the caller may set a name.
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
        """Checks that the caller may set a name, and learn about it.

        Raises:
            DeniedError: The caller may not.
        """
        if not self.allows(name):
            raise DeniedError(f"this token may not set the name {name}")

    def check_room(self, push: bytes) -> None:
        """Checks that the disk has room for objects of a push.

        Raises:
            NoSpaceError: It has not. The push is given up.
        """
        self.store.pushes.check_room(push, 0, spare=self.spare)

    def keep(self, push: bytes) -> Keep:
        """Returns a function that stores objects of a push."""
        pushes = self.store.pushes

        def keep(objects: list[Verified]) -> Committed:
            return pushes.put(push, objects, spare=self.spare)

        return keep

    def publish(self, push: bytes, what: ManifestId | NameUpdate) -> NameRecord | int | None:
        """Proves that everything below a manifest is in the store, makes it full and names it.

        Args:
            push: The client's push, or empty.
            what: The manifest, or a name that shall point to it.

        Returns:
            The new version of the name, or None without a name. If the proof is not finished, the
            number of objects checked; the client must repeat its request.

        Raises:
            IncompleteError: Objects are missing.
            DeniedError: The caller may not set that name.
            UsageError: The objects are not valid content.
            UnreachableError: Without `push`, the push that protects the check was ended.
            LostRaceError, NotFoundError, NoSpaceError, WriteError: As `Pushes.publish`.
        """
        update = what if isinstance(what, NameUpdate) else None
        manifest = what.manifest if isinstance(what, NameUpdate) else what
        if update is not None:
            self.check_name(update.name)
        row = self.store.manifest(manifest)
        if row is not None and row.state is ManifestState.FULL:
            if update is None:
                return None
            with suppress(IncompleteError):  # removed since: what the push protects is there
                return self.store.set_name(update)
        try:
            return self._prove(push, what, manifest)
        except NotFoundError as error:
            if push or isinstance(error, NoObjectError):
                raise
            raise UnreachableError(
                f"the push that protected the check of {manifest.hex()} was ended"
            ) from error

    def _prove(
        self, push: bytes, what: ManifestId | NameUpdate, manifest: ManifestId
    ) -> NameRecord | int | None:
        proving = self.proofs.go_on(push, manifest)
        if not proving.done:
            return proving.proof.checked
        try:
            if proving.proof.missing:
                raise IncompleteError(
                    f"objects of {manifest.hex()} are missing",
                    next_step="Push it: casync push.",
                    missing=proving.proof.missing,
                )
            return self.store.pushes.publish(proving.push, what, proving.proof.length)
        finally:
            if not push:
                self.store.pushes.end(proving.push)
