"""Compares a folder on disk with a tree: finds what is equal, what differs, and what is extra.

Changes nothing. A few threads read files and compare them by the ids of their chunks, except for
files that the scan cache proves to be unchanged. Memory: 8 bytes per file.

A mark says whether its file is certain: any change since the bytes were right would show in its
status. That is so if the scan cache has it, if its times were old when it was looked at, and if
this pull wrote it.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import Final, NamedTuple

from casync.access.compare import Comparer
from casync.access.ordered import OrderedQueue
from casync.access.progress import Progress
from casync.access.tree_load import Tree
from casync.errors import DeniedError, WriteError
from casync.fs.beneath import FOLDER, open_beneath, open_child
from casync.fs.cursor import Cursor, look
from casync.fs.entries import Inside
from casync.fs.identity import identity_of
from casync.fs.scan_cache import SETTLED_NS, CachedScan
from casync.fs.target.metadata import MetadataPolicy, kind_of
from casync.fs.target.staging import STAGING
from casync.objects.tree import Device, Entry, File, Folder, Leaf, Link
from casync.objects.tree_walk import Step
from casync.ops.pull_folder.tree_shape import HardLinks

__all__ = [
    "ABSENT",
    "CERTAIN",
    "LEFT_OUT",
    "UNDRESSED",
    "Difference",
    "Survey",
    "is_in_state",
    "mark_of",
    "mark_of_written",
]

_AHEAD: Final = 64
"""Files that are open at once."""

_ABOUT_BYTES: Final = frozenset({"missing", "kind", "content"})

ABSENT: Final = 0
"""The mark of an entry that must be made."""

LEFT_OUT: Final = 1
"""The mark of an entry that is not made, such as a device without `exact`."""


UNDRESSED: Final = 1
"""Added to the mark of an entry whose metadata is wrong, while its content is right."""

CERTAIN: Final = 2
"""Added to the mark of an entry of which any later change shows in its status."""

_STATE: Final = 2**64 - 4
"""The bits of a mark that identify a state."""


def mark_of(status: os.stat_result) -> int:
    """A number that identifies one state of a file, with room for `UNDRESSED` and `CERTAIN`."""
    return hash(identity_of(status)) & _STATE or 4


def mark_of_written(status: os.stat_result) -> int:
    """The mark of a file that this pull wrote.

    It is certain: its time is that in the tree, and whatever is written into it later changes that
    time, unless both are the same moment.
    """
    return mark_of(status) | (CERTAIN if status.st_mtime_ns != status.st_ctime_ns else 0)


def is_in_state(status: os.stat_result, mark: int) -> bool:
    """Whether a file is in the state that a mark identifies."""
    return mark_of(status) == mark & _STATE


class Difference(NamedTuple):
    """The comparison of one path.

    Attributes:
        path: The path in the folder.
        entry: The tree's entry; None if it has none.
        status: The status on disk; None if nothing is there.
        wrong: What differs: `missing`, `extra`, `kind`, `content`, `target`, `link`, `device`,
            `mode`, `owner`, `attributes`, `time`. Empty if nothing does.
        stays: It need not be made again, though its metadata may have to be set.
    """

    path: bytes
    entry: Entry | None
    status: os.stat_result | None
    wrong: list[str]
    stays: bool = False


class _PendingEntry(NamedTuple):
    """An entry that waits for its turn: its number among leaves, and the comparison in progress."""

    number: int
    found: Difference
    same: Future[bool] | None
    is_certain: bool = False


class Survey:
    """One comparison.

    Args:
        tree: The tree.
        steps: Its tour.
        root: Descriptor of the folder; None if it does not exist yet.
        policy: The metadata to compare.
        hard_links: The files of the tree that have hard links.
        last: The scan cache of an earlier run.
        tell: Called for every path, in the order of the tree, for folders before their entries.
        progress: Advances by compared bytes.
        opens_up: Give ourselves all rights on folders of ours.
        seen_at: The time of the file system's clock, in nanoseconds; 0 if no mark is certain.

    Attributes:
        opened: Path and former mode of each folder that we gave ourselves rights on.
        marks: For each entry of the tree that is not a folder, in order: `ABSENT`, `LEFT_OUT`, or
            `mark_of` the file on disk if its content is right, with `UNDRESSED` and `CERTAIN`.
        shares: Whether the folder has anything in common with the tree.
    """

    def __init__(
        self,
        tree: Tree,
        steps: Iterable[Step],
        root: int | None,
        policy: MetadataPolicy,
        hard_links: HardLinks,
        *,
        last: CachedScan | None,
        tell: Callable[[Difference], None],
        progress: Progress,
        opens_up: bool = False,
        seen_at: int = 0,
    ) -> None:
        self._settled = seen_at - SETTLED_NS
        self.marks = array("Q")
        self.opened: list[tuple[bytes, int]] = []
        self._opens_up = opens_up
        self.shares = False
        self._steps = steps
        self._root = root
        self._policy = policy
        self._hard_links = hard_links
        self._last = last
        self._tell = tell
        self._comparer = Comparer(tree.node, tree.params.max_size, progress)
        self._waiting = OrderedQueue(self._take, _AHEAD)
        self._names: list[list[bytes]] = []  # of each open folder, the names ahead, last first

    def run(self) -> None:
        """Runs the comparison, once.

        Raises:
            WriteError, DeniedError: A folder cannot be read.
            NoObjectError, IntegrityError: The tree cannot be read.
        """
        path = b""
        with (
            Cursor(self._root, opens_up=self._opens_up) as cursor,
            closing(self._comparer),
        ):
            self.opened = cursor.opened
            try:
                for step in self._steps:
                    path = step.path
                    self._step(cursor, step)
                self._waiting.finish()
            except OSError as error:
                message = f"cannot read {os.fsdecode(path) or 'the folder'}: {error.strerror}"
                if isinstance(error, PermissionError):
                    raise DeniedError(message) from error
                raise WriteError(message) from error

    def _step(self, cursor: Cursor, step: Step) -> None:
        path, entry, is_settled = step
        if entry is None:
            for name in reversed(self._names.pop()):
                self._extra(cursor, name)
            if path:
                cursor.leave()
        elif is_settled:
            self._meet(cursor, entry.name)
        elif isinstance(entry, Folder):
            self._folder(cursor, path, entry)
        else:
            self._leaf(cursor, path, entry)

    def _folder(self, cursor: Cursor, path: bytes, entry: Folder) -> None:
        wrong: list[str] = []
        if path:
            status = self._come_to(cursor, entry.name)
            cursor.enter(entry.name)
        else:
            status = os.fstat(cursor.fd) if cursor.is_somewhere else None
        if status is None:
            wrong = ["missing"]
        elif not stat.S_ISDIR(status.st_mode):
            wrong = ["kind"]
        else:
            wrong = self._policy.differences(entry, status, cursor.fd)
        self._names.append(cursor.names()[::-1])
        if not path and STAGING in self._names[0]:
            self._names[0].remove(STAGING)
        self._waiting.put(_PendingEntry(-1, Difference(path, entry, status, wrong), None))

    def _leaf(self, cursor: Cursor, path: bytes, entry: Leaf) -> None:
        status = self._come_to(cursor, entry.name)
        number = len(self.marks)
        if not self._policy.makes(entry):
            self.marks.append(LEFT_OUT)
            return
        self.marks.append(ABSENT)
        wrong: list[str] = []
        same: Future[bool] | None = None
        is_certain = False
        if status is None:
            wrong = ["missing"]
        elif stat.S_IFMT(status.st_mode) != kind_of(entry):
            wrong = ["kind"]
        elif entry.first is not None:
            wrong = [] if self._is_name_of(entry.first, status) else ["link"]
        else:
            thing = Inside(cursor.fd, entry.name)
            wrong = self._contradictions(entry, status, cursor.fd)
            wrong += self._policy.differences(entry, status, thing)
            is_certain = max(status.st_mtime_ns, status.st_ctime_ns) <= self._settled
            if isinstance(entry, File) and "content" not in wrong:
                if self._is_known(path, entry, status):
                    is_certain = True
                elif entry.content.length:
                    same = self._compare(cursor, entry, wrong)
        found = Difference(path, entry, status, wrong)
        self._waiting.put(_PendingEntry(number, found, same, is_certain))

    def _come_to(self, cursor: Cursor, name: bytes) -> os.stat_result | None:
        """The status of the tree's next name; reports the extra entries before it."""
        return cursor.look(name) if self._meet(cursor, name) else None

    def _meet(self, cursor: Cursor, name: bytes) -> bool:
        """Whether the tree's next name is on disk; reports the extra entries before it."""
        names = self._names[-1]
        while names and names[-1] < name:
            self._extra(cursor, names.pop())
        if not names or names[-1] != name:
            return False
        names.pop()
        self.shares = True
        return True

    def _extra(self, cursor: Cursor, name: bytes) -> None:
        status = cursor.look(name)
        if status is not None:
            path = cursor.path + b"/" + name if cursor.path else name
            self._waiting.put(_PendingEntry(-1, Difference(path, None, status, ["extra"]), None))

    def _contradictions(self, entry: Leaf, status: os.stat_result, folder: int) -> list[str]:
        """What is certainly wrong about the content of a thing of the right kind."""
        if isinstance(entry, File):
            return [] if status.st_size == entry.content.length else ["content"]
        if isinstance(entry, Link):
            target = os.readlink(entry.name, dir_fd=folder)
            return [] if target == entry.target else ["target"]
        if isinstance(entry, Device):
            wanted = os.makedev(entry.major, entry.minor)
            return [] if status.st_rdev == wanted else ["device"]
        return []

    def _is_name_of(self, first: bytes, status: os.stat_result) -> bool:
        """Whether the first name of a file leads to the same file as a hard link to it."""
        if self._root is None:
            return False
        folder, _, name = first.rpartition(b"/")
        try:
            fd = open_beneath(self._root, folder, FOLDER)
        except OSError:
            return False
        try:
            found = look(fd, name)
        finally:
            os.close(fd)
        return found is not None and os.path.samestat(found, status)

    def _is_known(self, path: bytes, entry: File, status: os.stat_result) -> bool:
        """Whether the scan cache proves that a file has the right content."""
        known = self._last.find(path, identity_of(status)) if self._last is not None else None
        return isinstance(known, File) and known.content == entry.content

    def _compare(self, cursor: Cursor, entry: File, found: list[str]) -> Future[bool] | None:
        """Starts comparing a file of the right length."""
        try:
            fd = open_child(cursor.fd, entry.name, os.O_RDONLY)
        except OSError:  # an unreadable file can still be replaced
            found.append("content")
            return None
        return self._comparer.compare(fd, entry.content)

    def _take(self, waiting: _PendingEntry) -> None:
        """Waits for a comparison, and reports its result."""
        number, found, same, is_certain = waiting
        if same is not None and not same.result():
            found.wrong.insert(0, "content")
        if number >= 0 and found.status is not None and self._stays(found, found.status):
            flags = (UNDRESSED if found.wrong else 0) | (CERTAIN if is_certain else 0)
            self.marks[number] = mark_of(found.status) | flags
            found = found._replace(stays=True)
        self._tell(found)

    def _stays(self, found: Difference, status: os.stat_result) -> bool:
        """Whether the file on disk may stay."""
        if not isinstance(found.entry, File) or found.entry.first is not None:
            return not found.wrong
        if not _ABOUT_BYTES.isdisjoint(found.wrong):
            return False
        # Other hard links to it may be anywhere, and must not change.
        return status.st_nlink == 1 or (not found.wrong and found.path in self._hard_links)
