"""Makes the index of an archive in one pass over it."""

from __future__ import annotations

import threading
from typing import Final
from weakref import WeakValueDictionary

from casync.access.member_indexes import ArchivePlace, MemberIndexes
from casync.access.progress import SILENT, Progress
from casync.access.waiting import held_by_one
from casync.archives.detect import ArchiveKind
from casync.archives.format import ByteReader
from casync.archives.index import MemberIndex
from casync.archives.index_layout import NONE_REFUSED, fits_index, member_order
from casync.archives.index_writing import encode_index
from casync.archives.member import Member
from casync.archives.unpacking.one_pass import OnePass
from casync.errors import MalformedError
from casync.fs.sorted_rows import SortedRows
from casync.limits import MAX_MEMBERS

__all__ = ["make_index"]


class _Turn:
    """Is held by the thread that makes an index."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: Final[WeakValueDictionary[bytes, _Turn]] = WeakValueDictionary()


def make_index(
    place: ArchivePlace,
    stored: ByteReader,
    kind: ArchiveKind,
    indexes: MemberIndexes,
    progress: Progress = SILENT,
    *,
    bad: MemberIndex | None = None,
) -> MemberIndex:
    """Makes the index of an archive, and keeps it.

    Threads that want the same index make it once.

    Args:
        place: The archive.
        stored: Its bytes.
        kind: What it is.
        indexes: Keeps the index.
        progress: Advances by every byte of the archive.
        bad: The index that is damaged or wrong.

    Raises:
        UnreachableError: Too many threads of a server wait for indexes.
        CasyncError: As `open_archive`.
    """
    turn = _turns.setdefault(place.content.id, _Turn())
    with held_by_one(turn.lock):
        found = indexes.find(place)
        if found is not None and found is not bad:
            return found
        progress.start("indexing the archive", stored.length)
        once = OnePass(kind.layer, stored, progress.advance)
        refused = NONE_REFUSED

        def refuse(name: bytes) -> None:
            nonlocal refused
            refused = refused.and_one(name)

        with SortedRows(Member, member_order, "the members of the archive") as rows:
            for number, member in enumerate(once.members(kind, refuse)):
                if number == MAX_MEMBERS:
                    raise MalformedError(f"the archive has more than {MAX_MEMBERS} members")
                if fits_index(member):
                    rows.add(member)
                else:
                    refuse(member.raw or member.path)
            blocks = encode_index(rows, kind, once.length, once.points, refused)
            return indexes.keep(place, blocks, again=bad is not None)
