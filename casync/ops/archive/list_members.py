"""Lists the members of an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.access.archive import Archive, open_archive
from casync.access.locate import locate
from casync.access.member_indexes import MemberIndexes, indexes_of
from casync.access.outline import Outline
from casync.archives.member import Member
from casync.archives.selection import SelectionMode, member_selection
from casync.errors import UsageError
from casync.names.name import Ref
from casync.store.base import ManifestSource

__all__ = ["EVERYTHING", "Selection", "archive_at", "list_members"]


class Selection(NamedTuple):
    """Which members of an archive are meant; without a text all of them.

    Attributes:
        mode: How `text` selects paths.
        text: What paths are compared with.
        shadowed: Whether members count that a later one of the same path hides.
    """

    mode: SelectionMode = "prefix"
    text: str = ""
    shadowed: bool = False


EVERYTHING: Final = Selection()


def archive_at(ref: Ref, source: ManifestSource, indexes: MemberIndexes | None = None) -> Archive:
    """The archive that a ref leads to.

    Args:
        ref: The ref.
        source: A store or a server.
        indexes: Keeps the indexes of archives; None for the source itself.

    Raises:
        UsageError: It is no archive.
        CasyncError: As `locate` and `open_archive`.
    """
    indexes = indexes or indexes_of(source)
    found = locate(ref if ref.path else ref.whole, source, indexes=indexes)
    archive = None
    if isinstance(found.content, Outline):
        name = os.fsdecode(found.path) if found.path else str(ref.name or "")
        last, is_proved = name.rpartition("/")[2], ref.manifest is not None
        archive = open_archive(
            found.content, source, indexes, last, found.path, is_proved=is_proved
        )
    if archive is None:
        raise UsageError(f"{ref} is no archive", next_step="tar, tgz, zip and msgpack are.")
    return archive


def list_members(archive: Archive, selection: Selection = EVERYTHING) -> Iterator[Member]:
    """The members of an archive that are meant, ordered by path.

    Raises:
        UsageError: A regular expression is not valid.
    """
    mode, text, shadowed = selection
    matches = member_selection(mode, text)
    prefix = os.fsencode(text.lstrip("/")) if mode in ("prefix", "wdskey") else b""
    for member in archive.members(prefix):
        if (shadowed or not member.shadowed) and (not text or matches(member.path)):
            yield member
