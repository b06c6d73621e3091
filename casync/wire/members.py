"""The listing of an archive's members (docs/PROTOCOL.md shows it)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from casync.wire.documents import Length, Text

__all__ = ["MemberItem", "MemberPage", "MemberWord"]

MemberWord: TypeAlias = Literal["file", "folder", "symlink", "hardlink", "other"]
"""What a member is."""


class MemberItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member of an archive.

    Attributes:
        path: Its path, percent-encoded: it need not be text, and fits into a URL as it is.
        kind: What it is.
        length: Its plain bytes.
        stored: The bytes that it takes in the archive.
        offset: Where its bytes begin in the uncompressed archive.
        mode: The lower 12 bits of its mode.
        mtime: Time of the last change, in seconds since 1970.
        target: What a link leads to, percent-encoded.
        shadowed: Whether a later member has the same path.
    """

    path: str
    kind: MemberWord
    length: Length
    stored: Length
    offset: Length
    mode: int
    mtime: int
    target: str | None = None
    shadowed: bool = False


class MemberPage(msgspec.Struct, frozen=True):
    """Members of an archive, ordered by the bytes of their paths; `more`: further ones follow.

    Attributes:
        format: `tar`, `zip` or `msgpack`.
        layer: `gzip`, `zstd` or `lz4`, or empty.
        members: The members. Of several with the same path there is the last one, unless all of
            them are asked for.
        more: Whether further ones follow.
    """

    format: Text
    layer: Text
    members: list[MemberItem]
    more: bool
