"""The JSON documents of requests that change a server's store (docs/PROTOCOL.md shows them).

Both sides use this module, as `documents`. Requests and answers are untrusted, so the types here
check every field.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from casync.limits import MAX_BATCH_IDS, MAX_NAME_BYTES, MAX_PUSHES, PAGE_ITEMS
from casync.wire.documents import Hash, Length, NameItem, Positive, Seconds, SignedBytes

__all__ = [
    "MAX_REFS",
    "HeardItem",
    "NameChange",
    "NextItem",
    "ProvingItem",
    "PushHash",
    "PushItem",
    "PushList",
    "RefusedItem",
    "Refs",
    "RemovalItem",
    "TakenItem",
    "TrashItem",
    "TrashPage",
]

MAX_REFS: Final = 100
"""Refs of one request, which are removed or restored together, and listed in the answer."""

PushHash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32)]
_Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_BYTES + 32)]


class NextItem(msgspec.Struct, frozen=True):
    """The next version of a name, for clients that sign it in advance.

    Attributes:
        version: Its number.
        newest: The newest version, or null.
    """

    version: Positive
    newest: NameItem | None


class NameChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The new target of a name, and the signed claim about it if there is one."""

    manifest: Hash
    signed: SignedBytes = b""


class PushItem(msgspec.Struct, frozen=True):
    """An opened push.

    Attributes:
        push: Its id.
        silence: Seconds without a request after which it ends; 0 once it has ended.
    """

    push: PushHash
    silence: Seconds


class HeardItem(msgspec.Struct, frozen=True):
    """An open push, and the time of its last request, in seconds since 1970."""

    push: PushHash
    heard: Seconds


class PushList(msgspec.Struct, frozen=True):
    """The open pushes, the one that was silent for longest first."""

    pushes: Annotated[list[HeardItem], msgspec.Meta(max_length=MAX_PUSHES)]


class RefusedItem(msgspec.Struct, frozen=True):
    """A refused object: its bytes do not match its id."""

    kind: Annotated[int, msgspec.Meta(ge=1, le=3)]
    id: Hash


class TakenItem(msgspec.Struct, frozen=True):
    """The result of sending objects.

    Attributes:
        taken: Number of objects stored.
        known: Number of objects that the store had already.
        refused: The other objects.
    """

    taken: Length
    known: Length
    refused: Annotated[list[RefusedItem], msgspec.Meta(max_length=MAX_BATCH_IDS)]


class ProvingItem(msgspec.Struct, frozen=True):
    """A manifest that the server is still checking; `checked` counts objects."""

    checked: Length


class Refs(msgspec.Struct, frozen=True):
    """Refs to remove or to restore.

    Attributes:
        refs: Full hashes, NAME or NAME@N.
        dry_run: Move nothing, and answer as if it were done.
    """

    refs: Annotated[list[_Ref], msgspec.Meta(min_length=1, max_length=MAX_REFS)]
    dry_run: bool = False


class RemovalItem(msgspec.Struct, frozen=True):
    """Versions and manifests that moved into the trash, or out of it.

    Attributes:
        versions: Versions of names, at most a page of them.
        manifests: Manifests, at most a page of them.
        more: Whether the lists are incomplete.
    """

    versions: Annotated[list[NameItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    manifests: Annotated[list[Hash], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool


class TrashItem(msgspec.Struct, frozen=True):
    """A version of a name in the trash, or a manifest that had no name.

    Attributes:
        manifest: Hash of the manifest.
        version: The version, or null.
        removed: Time of the removal, in seconds since 1970.
    """

    manifest: Hash
    version: NameItem | None
    removed: Seconds


class TrashPage(msgspec.Struct, frozen=True):
    """The content of the trash, the latest removal last."""

    entries: Annotated[list[TrashItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool
