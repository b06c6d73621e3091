"""Names that are set in the same step as what they lead to, signed or not.

Who signs is handed in, since most runs have no key and need not load what signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.names.name_update import NameUpdate
from casync.store.base import Batch

__all__ = ["Publisher", "Signer", "SignerHere", "add_name"]


class Publisher(Protocol):
    """Where names are set: a store, or a server."""

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...


SignerHere: TypeAlias = Callable[[Name, ManifestId], NameUpdate]
"""Signs what a name shall point to. See `Signer`."""

Signer: TypeAlias = Callable[[Publisher, Name, ManifestId], NameUpdate]
"""Signs what a name shall point to at a place.

The update expects the version that was the newest when it was signed. It carries no claim where
that version says so already, by the word of the same key.
"""


def add_name(
    batch: Batch, name: Name | None, manifest: ManifestId, signer: SignerHere | None
) -> None:
    """Has a batch point a name to a manifest: in one step with the signature, if there is one.

    Raises:
        CasyncError: What the signer raises.
    """
    if name is not None:
        batch.names.append((signer or NameUpdate)(name, manifest))
