"""Lists the members of an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, takewhile
from typing import Final, NamedTuple

from casync.access.archive import Archive, open_archive
from casync.access.locate import nothing_at, open_archive_at, reach
from casync.access.member_indexes import MemberIndexes, indexes_of
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.archives.member import Member
from casync.archives.selection import SelectionMode, member_selection
from casync.errors import UsageError
from casync.names.name import Ref
from casync.store.base import ManifestSource, ObjectSource

__all__ = [
    "EVERYTHING",
    "Selection",
    "archive_and_path",
    "list_members",
    "members_at",
    "members_inside",
]


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
_STEP: Final = "tar, tgz, zip and msgpack are."


def members_at(
    ref: Ref, source: ManifestSource, selection: Selection = EVERYTHING, progress: Progress = SILENT
) -> tuple[Archive, Iterator[Member]]:
    """The archive that a ref leads to or into, and its members that are meant, ordered by path.

    Of a folder in an archive they are those below it, selected by their paths there.

    Args:
        ref: The ref.
        source: A store or a server.
        selection: Selects members.
        progress: Advances while the index is made.

    Raises:
        UsageError: It is no archive, or a regular expression is not valid.
        NotFoundError: The archive has nothing at the path.
        CasyncError: As `reach` and `open_archive`.
    """
    archive, inside = archive_and_path(ref, source, progress=progress)
    if not inside:
        return archive, list_members(archive, selection)
    start, found = _members_inside(archive, inside)
    first = next(found, None)
    if first is None:
        raise nothing_at(ref, reach(ref, source), archive)
    mode, text, shadowed = selection
    matches = member_selection(mode, text)
    chosen = (
        one
        for one in chain((first,), found)
        if (shadowed or not one.shadowed) and (not text or matches(one.path[start:]))
    )
    return archive, chosen


def _members_inside(archive: Archive, path: bytes) -> tuple[int, Iterator[Member]]:
    """What is below a path, or at it; and where names below the folder begin in their paths."""
    below = archive.members(path + b"/")
    first = next(below, None)
    if first is not None:
        return len(path) + 1, chain((first,), below)
    there = takewhile(lambda one: one.path == path, archive.members(path))
    return path.rfind(b"/") + 1, there


def archive_and_path(
    ref: Ref,
    source: ManifestSource,
    indexes: MemberIndexes | None = None,
    progress: Progress = SILENT,
) -> tuple[Archive, bytes]:
    """The archive that a ref leads to or into, and the path inside it; empty for the whole.

    Args:
        ref: The ref.
        source: A store or a server.
        indexes: Keeps the indexes of archives; None for the source itself.
        progress: Advances while the index of the archive is made.

    Raises:
        UsageError: There is no archive.
        CasyncError: As `reach` and `open_archive`.
    """
    indexes = indexes or indexes_of(source)
    found = reach(ref if ref.path else ref.whole, source)
    located = found.located
    if found.rest:
        return open_archive_at(ref, found, source, indexes, progress), found.rest
    archive = None
    if isinstance(located.content, Outline):
        name = os.fsdecode(located.path) if located.path else str(ref.name or "")
        last, is_proved = name.rpartition("/")[2], ref.manifest is not None
        archive = open_archive(
            located.content,
            source,
            indexes,
            last,
            located.path,
            is_proved=is_proved,
            progress=progress,
        )
    if isinstance(located.content, Tree):
        raise UsageError(
            f"{ref} is a folder, not an archive",
            next_step=f"`casync ls {ref if ref.path else ref.whole}` lists it.",
        )
    if archive is None:
        raise UsageError(f"{ref} is not an archive", next_step=_STEP)
    return archive, b""


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


def members_inside(
    outline: Outline, source: ObjectSource, name: str, path: bytes = b""
) -> Iterator[Member]:
    """The members of a file, but those that a later one hides; none if it is no archive.

    Args:
        outline: The file.
        source: Has its chunks, and its index.
        name: Its name.
        path: Where it is in the tree of its manifest; empty for the whole.

    Raises:
        CasyncError: As `open_archive` and `Archive.members`.
    """
    archive = open_archive(outline, source, indexes_of(source), name.rpartition("/")[2], path)
    if archive is not None:
        yield from list_members(archive)
