"""The JSON documents of requests that change a server's store (docs/PROTOCOL.md shows them).

Both sides use this module, as `documents`. What a client sends is checked here as what a server
answers is: all of it is untrusted. Must not know about HTTP or stores.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from casync.limits import MAX_BATCH_IDS, MAX_NAME_BYTES, PAGE_ITEMS
from casync.wire.documents import Hash, Length, NameItem, Positive, Seconds, SignedBytes

__all__ = [
    "MAX_REFS",
    "NameChange",
    "NextItem",
    "ProvingItem",
    "PushHash",
    "PushItem",
    "RefusedItem",
    "Refs",
    "RemovalItem",
    "TakenItem",
    "TrashItem",
    "TrashPage",
]

MAX_REFS: Final = 100
"""Refs of one request: they are removed or restored together, and listed in the answer."""

PushHash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32)]
_Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_BYTES + 32)]


class NextItem(msgspec.Struct, frozen=True):
    """What the next version of a name will be, for those who sign it beforehand.

    Attributes:
        version: Its number.
        newest: The version before it, or null.
    """

    version: Positive
    newest: NameItem | None


class NameChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a name shall point to, and the signed claim that says so, if there is one."""

    manifest: Hash
    signed: SignedBytes = b""


class PushItem(msgspec.Struct, frozen=True):
    """A push that was opened.

    Attributes:
        push: Its id.
        silence: Seconds without a request after which it ends.
    """

    push: PushHash
    silence: Seconds


class RefusedItem(msgspec.Struct, frozen=True):
    """An object that was not kept: its bytes are not what its id says."""

    kind: Annotated[int, msgspec.Meta(ge=1, le=3)]
    id: Hash


class TakenItem(msgspec.Struct, frozen=True):
    """What became of objects that were sent.

    Attributes:
        taken: How many were kept.
        known: How many were there already.
        refused: The others.
    """

    taken: Length
    known: Length
    refused: Annotated[list[RefusedItem], msgspec.Meta(max_length=MAX_BATCH_IDS)]


class ProvingItem(msgspec.Struct, frozen=True):
    """A manifest whose content is still looked through; `checked` counts objects."""

    checked: Length


class Refs(msgspec.Struct, frozen=True):
    """What to remove or to restore: full hashes, NAME or NAME@N.

    Attributes:
        refs: Which.
        dry_run: Only tell what would move.
    """

    refs: Annotated[list[_Ref], msgspec.Meta(min_length=1, max_length=MAX_REFS)]
    dry_run: bool = False


class RemovalItem(msgspec.Struct, frozen=True):
    """What moved into the trash, or out of it.

    Attributes:
        versions: Versions of names, at most a page of them.
        manifests: Manifests, likewise.
        more: Some are left out.
    """

    versions: Annotated[list[NameItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    manifests: Annotated[list[Hash], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool


class TrashItem(msgspec.Struct, frozen=True):
    """A version of a name in the trash, or a manifest that no name led to.

    Attributes:
        manifest: Its hash.
        version: The version, or null.
        removed: When, in seconds since 1970.
    """

    manifest: Hash
    version: NameItem | None
    removed: Seconds


class TrashPage(msgspec.Struct, frozen=True):
    """What lies in the trash, the latest last."""

    entries: Annotated[list[TrashItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool
