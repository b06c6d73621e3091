"""The members of an archive, sorted into a tree, with bounded memory.

Members come in any order. Each is a row, and rows are sorted on disk: by path, so that the tree can
be built, and hard links by what they lead to, so that each finds the entry that it shares. As when
an archive is extracted, later members win: over an earlier one with the same path, and over
everything in an earlier folder where they put a file. A folder that a later member lies in takes
the place of a file.
"""

from __future__ import annotations

import heapq
import shlex
from collections.abc import Iterable, Iterator
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from casync.archives.hard_links import FOLDER, ITSELF, MAX_CHAIN, NOTHING, leads_nowhere, too_long
from casync.errors import CasyncError, MalformedError
from casync.fs.exclude import excludes, pattern_of
from casync.fs.scan import Excluded
from casync.fs.scan_cache import walk_key
from casync.fs.sorted_rows import SortedRows
from casync.fs.target.staging import STAGING
from casync.limits import MAX_LEFT_OUT_MEMBERS, MAX_TREE_DEPTH, MAX_TREE_PATH
from casync.objects.tree import Entry, EntryReader, Folder, Meta, check_file_name, encode_entry
from casync.ops.prepare.open_folders import STAGING_REASON, OpenFolders
from casync.ops.prepare.tree_builder import KnownEntry, TreeBuilder, name_of

__all__ = ["MemberRows", "exclude_step"]

_WHAT: Final = "the list of members"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """A member.

    Attributes:
        key: Its path, as a key that sorts in the order of a walk.
        number: Its number in the archive.
        entry: Its encoded entry; empty for a hard link.
        is_folder: Whether it is a folder.
        target: The key of the path that a hard link leads to.
        inode: The key and number of the member that it shares its entry with.
    """

    key: bytes
    number: int
    entry: bytes = b""
    is_folder: bool = False
    target: bytes = b""
    inode: tuple[bytes, int] | None = None


class _Link(msgspec.Struct, frozen=True, array_like=True):
    """A hard link: a member leads to the last one at `target` before `before`, or to the next."""

    target: bytes
    before: int
    key: bytes
    number: int


class MemberRows:
    """The members of one archive. Use in a with block: add all, then build the tree once.

    Args:
        builder: Builds the tree; notes what is left out.
        excluded: Selects paths to leave out without a note.
    """

    def __init__(self, builder: TreeBuilder, excluded: Excluded) -> None:
        self._builder = builder
        self._excluded = excluded
        self._rows = SortedRows(_Row, _place, _WHAT)
        self._shared = SortedRows(_Row, _place, _WHAT)  # hard links and what they lead to
        self._links = SortedRows(_Link, _target, _WHAT)
        self._root: Meta | None = None
        self._left_out = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for rows in (self._rows, self._shared, self._links):
            rows.clear()

    def leave_out(self, path: bytes, reason: str) -> None:
        """Reports a member that is left out, unless it is excluded.

        Raises:
            MalformedError: There are too many.
        """
        if excludes(self._excluded, path):
            return
        self._left_out += 1
        if self._left_out > MAX_LEFT_OUT_MEMBERS:
            raise MalformedError(
                f"more than {MAX_LEFT_OUT_MEMBERS} members of the archive cannot be in a tree; "
                f"the last one: {reason}"
            )
        self._builder.leave_out(path, reason)

    def add(self, number: int, path: bytes, entry: Entry) -> None:
        """Adds a member, or leaves it out where a tree has no room for it.

        Args:
            number: Its number in the archive.
            path: Its path.
            entry: Its entry, whose name is not read.

        Raises:
            NoSpaceError, WriteError: The rows cannot be written.
            MalformedError: Too many members are left out.
        """
        try:
            _check_path(path)
            encoded = encode_entry(replace(entry, name=name_of(path)))
        except MalformedError as error:
            return self.leave_out(path, error.message)
        return self._rows.add(_Row(walk_key(path), number, encoded, isinstance(entry, Folder)))

    def add_root(self, meta: Meta) -> None:
        """Takes the metadata of the folder of the whole archive."""
        self._root = meta

    def add_link(self, number: int, path: bytes, target: bytes) -> None:
        """Adds a hard link to the path `target`. Raises as `add`."""
        try:
            _check_path(path)
        except MalformedError as error:
            return self.leave_out(path, error.message)
        key, leads_to = walk_key(path), walk_key(target)
        self._links.add(_Link(leads_to, number, key, number))
        return self._rows.add(_Row(key, number, target=leads_to))

    def build(self) -> None:
        """Passes all entries to the builder, in the order of a walk.

        Raises:
            NotFoundError: A hard link leads to no file.
            UnsupportedError: Too many hard links lead to each other in a row.
            CasyncError: What the store raises; the rows cannot be written or read back.
        """
        self._resolve()
        folders = OpenFolders(self._builder, self._excluded, self._root)
        merged = heapq.merge(self._rows, self._shared, key=_place)
        for row in _standing(_last_of_each(merged)):
            path = _path(row.key)
            if not folders.go_to(path) or not row.entry:  # a hard link that is excluded
                continue
            entry = _decoded(row.entry)
            if isinstance(entry, Folder):
                folders.enter(path, entry.meta)
            elif not self._excluded(path, False):
                self._put(path, row, entry)
        folders.finish()

    def _put(self, path: bytes, row: _Row, entry: Entry) -> None:
        if row.inode is None or not self._builder.is_hard_link(path, row.inode):
            known = KnownEntry(replace(entry, name=name_of(path)), None, row.inode)
            self._builder.put(path, known)

    def _resolve(self) -> None:
        """Finds the entries of all hard links; a link to a link in the next round."""
        for _ in range(MAX_CHAIN):
            if not self._links:
                return
            links, self._links = self._links, SortedRows(_Link, _target, _WHAT)
            with links:
                for link, row in _found(self._rows, links):
                    self._link(link, row)
        for link in self._links:
            self._fail(too_long(_path(link.key)), link)

    def _link(self, link: _Link, row: _Row | None) -> None:
        """Takes what a hard link leads to.

        Raises:
            NotFoundError: It leads to nothing, to itself, or to a folder.
        """
        problem = ""
        if row is None:
            problem = NOTHING
        elif row.is_folder:
            problem = FOLDER
        elif _place(row) == (link.key, link.number):
            problem = ITSELF
        if row is None or problem:
            self._fail(leads_nowhere(_path(link.key), _path(link.target), problem), link)
            return
        if row.target:
            self._links.add(_Link(row.target, row.number, link.key, link.number))
            return
        inode = row.key, row.number
        self._shared.add(_Row(link.key, link.number, row.entry, inode=inode))
        self._shared.add(_Row(*inode, inode=inode))

    def _fail(self, error: CasyncError, link: _Link) -> None:
        """Raises the error of a hard link, unless that is excluded."""
        path = _path(link.key)
        if not excludes(self._excluded, path):
            error.next_step = exclude_step(path)
            raise error


def exclude_step(path: bytes) -> str:
    """What to do about a member that a tree cannot have."""
    return f"Leave it out with --exclude {shlex.quote(pattern_of(path))}."


def _check_path(path: bytes) -> None:
    """Refuses a path that a tree cannot have.

    Raises:
        MalformedError: It is too long or too deep, or one of its names is not allowed.
    """
    names = path.split(b"/")
    if len(path) > MAX_TREE_PATH or len(names) >= MAX_TREE_DEPTH:
        raise MalformedError("its path is too long")
    for name in names:
        check_file_name(name)
        if name == STAGING:
            raise MalformedError(STAGING_REASON)


def _found(rows: Iterable[_Row], links: Iterable[_Link]) -> Iterator[tuple[_Link, _Row | None]]:
    """Each hard link with the member that it leads to."""
    following = iter(rows)
    row, before = next(following, None), None
    for link in links:
        while row is not None and _place(row) < _target(link):
            before, row = row, next(following, None)
        if before is not None and before.key == link.target:
            yield link, before
        elif row is not None and row.key == link.target:
            yield link, row
        else:
            yield link, None


def _last_of_each(rows: Iterable[_Row]) -> Iterator[tuple[_Row, int]]:
    """The last member of each path, and the number of the last one that is no folder, or -1."""
    last: _Row | None = None
    replaced = -1
    for row in rows:
        if last is not None and row.key != last.key:
            yield last, replaced
            last, replaced = None, -1
        if last is not None and row.number == last.number:  # what a hard link shares
            last = replace(last, entry=row.entry or last.entry, inode=row.inode or last.inode)
        else:
            last = row
        if not row.is_folder:
            replaced = row.number
    if last is not None:
        yield last, replaced


def _standing(rows: Iterable[tuple[_Row, int]]) -> Iterator[_Row]:
    """The members that no later one has replaced, by a file above them or by a folder."""
    replaced: list[tuple[bytes, int]] = []  # what keys begin with, and since which member
    waiting: _Row | None = None  # a file, until it is known that no later member lies in it
    for row, number in rows:
        while replaced and not row.key.startswith(replaced[-1][0]):
            replaced.pop()
        if waiting is not None and not row.key.startswith(waiting.key + b"\0"):
            yield waiting
            waiting = None
        since = replaced[-1][1] if replaced else -1
        if row.number < since:
            continue
        waiting = None
        if number >= 0:
            replaced.append((row.key + b"\0", max(number, since)))
        if row.is_folder:
            yield row
        else:
            waiting = row
    if waiting is not None:
        yield waiting


def _decoded(entry: bytes) -> Entry:
    reader = EntryReader()
    (found,) = reader.feed(entry)
    return found


def _path(key: bytes) -> bytes:
    return key.replace(b"\0", b"/")


def _place(row: _Row) -> tuple[bytes, int]:
    return row.key, row.number


def _target(link: _Link) -> tuple[bytes, int]:
    return link.target, link.before
