"""Sets a name in the same commit as the manifest that it points to, signed or not.

The signer is an argument, because most runs have no key and need not load the signing library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.names.name_update import NameUpdate
from casync.store.base import Batch

__all__ = ["Publisher", "Signer", "SignerHere", "add_name", "unsigned_after"]


class Publisher(Protocol):
    """A place that has names: a store, or a server."""

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...


SignerHere: TypeAlias = Callable[[Name, ManifestId], NameUpdate]
"""Signs the new target of a name, for one fixed place. See `Signer`."""

Signer: TypeAlias = Callable[[Publisher, Name, ManifestId], NameUpdate]
"""Signs the new target of a name at a place.

The update expects the version that was the newest when it was signed. It carries no claim if that
version already has the same target, signed with the same key.
"""


def unsigned_after(version: int) -> SignerHere:
    """Updates a name, unsigned, if its newest version is this one; 0 for none."""

    def update(name: Name, manifest: ManifestId) -> NameUpdate:
        return NameUpdate(name, manifest, version)

    return update


def add_name(
    batch: Batch, name: Name | None, manifest: ManifestId, signer: SignerHere | None
) -> None:
    """Adds the update of a name to a batch, signed if there is a signer. Without a name, nothing.

    Raises:
        CasyncError: What the signer raises.
    """
    if name is not None:
        batch.names.append((signer or NameUpdate)(name, manifest))
