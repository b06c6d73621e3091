"""Archives of URLs."""

from __future__ import annotations

import os
from typing import NamedTuple

from casync.access.archive import Archive, open_archive
from casync.access.member_indexes import ArchivePlace, MemberIndexes
from casync.access.outline import Outline
from casync.errors import UsageError
from casync.store.base import ManifestSource
from casync_server.reading.content import tell_damage
from casync_server.reading.url_ref import locate_url

__all__ = ["ArchiveAt", "archive_at_url"]


class ArchiveAt(NamedTuple):
    """An archive, and where it is."""

    archive: Archive
    place: ArchivePlace


def archive_at_url(
    store: ManifestSource, ref: str, path: bytes, indexes: MemberIndexes
) -> ArchiveAt:
    """Opens an archive. Its index is made if it is missing.

    Args:
        store: The served store.
        ref: The ref in the URL.
        path: Where the archive is in the tree of the ref; empty for the whole.
        indexes: Keeps its index.

    Raises:
        UsageError: It is no archive, or its name says that it is of another kind.
        MalformedError: It is damaged as an archive.
        CasyncError: As `locate_url`.
    """
    found = locate_url(store, ref, path or None, indexes)
    outline, archive = found.content, None
    if isinstance(outline, Outline):
        name = os.fsdecode(found.path) or ref.partition("@")[0]
        with tell_damage(f"below {ref}"):
            archive = open_archive(outline, store, indexes, name.rpartition("/")[2], found.path)
    if archive is None or not isinstance(outline, Outline):
        raise UsageError("the ref does not lead to an archive")
    return ArchiveAt(archive, ArchivePlace(outline.content, outline.id, found.path))
