"""Plans a pull into a folder before anything in it is changed.

The plan refuses everything that is known to fail later: hostile trees, trees that do not fit on the
disk, a folder that `--delete` would empty by mistake.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from casync.access.outline import ObjectLoader
from casync.access.progress import Progress
from casync.access.tree_load import Tree, load_tree
from casync.errors import NoObjectError, NoSpaceError, UsageError, WriteError
from casync.fs.beneath import open_beneath
from casync.fs.os_errors import no_space
from casync.fs.removal import below
from casync.fs.rights import close_again
from casync.fs.scan_cache import CachedScan
from casync.fs.target.metadata import MetadataPolicy
from casync.fs.target.staging import STAGING
from casync.objects.node import Content
from casync.objects.tree import File, Folder
from casync.ops.pull.seeds import Seeds
from casync.ops.pull_folder.seeds import FolderFiles
from casync.ops.pull_folder.settled import SettledFolders
from casync.ops.pull_folder.step_file import StepFile
from casync.ops.pull_folder.survey import LEFT_OUT, Difference, Survey, mark_of_written
from casync.ops.pull_folder.tree_shape import HardLinks, Shape, shape_of
from casync.sizes import format_count

__all__ = ["FolderOptions", "FolderPlan"]

_NOTED: Final = 1 << 16
"""Files whose size or content is remembered to find copies and renamed files: some 20 MiB."""

_MOSTLY: Final = 8
"""One entry of so many may lack a valid row in the scan cache before all rows are written again."""

_ENTRY_BYTES: Final = 128
"""Minimum bytes of any entry on a disk."""


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Further options for pulling a folder.

    Attributes:
        exact: Restore owners, setuid, devices, pipes and all attributes.
        delete: Remove entries that the tree does not have.
        max_delete: Most entries to remove; None for no limit.
    """

    exact: bool = False
    delete: bool = False
    max_delete: int | None = None


@dataclass
class _Copies:
    """Facts that find content which is in the folder already, under other paths."""

    sizes: set[int] = field(default_factory=set)  # of files that are new
    contents: set[bytes] = field(default_factory=set)  # of files that are to be written
    extras: list[tuple[bytes, int]] = field(default_factory=list)  # files that the tree lacks


class FolderPlan:
    """Compares a folder with a tree, counts the changes to make, and finds seeds.

    Args:
        tree: The tree.
        steps: Receives its tour.
        root: Descriptor of the folder; None if it does not exist yet.
        path: Its path.
        options: How to pull the folder.
        policy: The metadata to compare and set.
        loader: Loads the tree; None if it is loaded.
        last: The scan cache of an earlier run.
        settled: The settled folders of the target.
        seeds: Receives the old files of the folder.
        progress: Receives phases and bytes.
        opens_up: Give ourselves all rights on folders of ours, and take them back if it fails.
        seen_at: As for `Survey`.

    Attributes:
        policy: The metadata to compare and set.
        steps: The tour of the tree, past the settled folders.
        settled: The settled folders of the target.
        marks: As `Survey.marks`.
        entries: Number of entries in the tree.
        settled_entries: Those of them in settled folders.
        files: Files to write.
        length: Their plain bytes.
        kept: Files that stay.
        others: Symbolic links, devices, pipes and hard links to make.
        left_out: Devices and pipes that are not made.
        extras: Entries to remove, with everything in folders; without `delete`, extra entries that
            stay, where a folder counts as one.

    Raises:
        IntegrityError: The tree is hostile, or damaged.
        NoSpaceError: The tree does not fit on the disk.
        UsageError: More would be removed than allowed, or all of a folder that has nothing in
            common with the tree.
        WriteError: A non-empty folder is in the place of a file, or something cannot be read.
    """

    def __init__(
        self,
        tree: Tree,
        steps: StepFile,
        root: int | None,
        path: Path,
        options: FolderOptions,
        policy: MetadataPolicy,
        *,
        loader: ObjectLoader | None,
        last: CachedScan | None,
        settled: SettledFolders,
        seeds: Seeds,
        progress: Progress,
        opens_up: bool,
        seen_at: int,
    ) -> None:
        self.policy = policy
        self.files = self.length = self.kept = 0
        self.settled_entries = self.others = self.extras = self.left_out = self._replaced = (
            self._new
        ) = 0
        self._tree = tree
        self.steps = steps
        self._root = root
        self._path = path
        self._options = options
        self._copies = _Copies()
        self.settled = settled
        shape = self._load(loader)
        self.entries = shape.entries
        self.has_hard_links = shape.has_links
        self._opens_up = opens_up
        self._disk = os.statvfs(path if root is not None else path.parent)
        self._check_count()
        steps.fill(tree.tour(self._passes_over))
        hard_links = HardLinks(steps, shape)
        self._old: FolderFiles | None = None
        if root is not None:
            self._old = FolderFiles(seeds, root, path, tree.params, progress)
            seeds.add(self._old)
        progress.start("comparing", shape.length)
        survey = Survey(
            tree,
            steps,
            root,
            self.policy,
            hard_links,
            last=last,
            tell=self._take,
            progress=progress,
            opens_up=opens_up,
            seen_at=seen_at,
        )
        try:
            survey.run()
            self.marks = survey.marks
            self.left_out = self.marks.count(LEFT_OUT)
            self._check_deletion(shares=survey.shares)
            self._check_space()
            self._find_copies()
        except BaseException:
            if root is not None:
                close_again(root, survey.opened)
            raise

    @property
    def is_mostly_settled(self) -> bool:
        """Whether settled folders have so many of the entries that the others may be read again."""
        return self.settled_entries * _MOSTLY >= self.entries * (_MOSTLY - 1)

    def note(self, number: int, status: os.stat_result) -> None:
        """Updates the mark of an entry that was written, from its new status."""
        self.marks[number] = mark_of_written(status)

    def contents(self) -> Iterator[tuple[int, Content]]:
        """The contents of all files to write, end to end."""
        start = 0
        for _, entry in self._of_marks(stays=False):
            yield start, entry.content
            start += entry.content.length

    def _load(self, loader: ObjectLoader | None) -> Shape:
        """Loads what is needed of the tree. Checks and counts it.

        Hard links may lead from any folder into any other, so with them no folder is passed over.
        """
        while True:
            if loader is not None:
                load_tree(self._tree, loader, self.settled.covers)
            shape = shape_of(self._tree, self.settled.shape)
            if not shape.has_links or not self.settled:
                return shape
            self.settled.clear()

    def _passes_over(self, path: bytes, folder: Folder) -> bool:
        """Whether a folder is settled, whose files stay."""
        shape = self.settled.shape(path, folder)
        if shape is None:
            return False
        self.kept += shape.files
        self.settled_entries += shape.entries
        return True

    def _check_count(self) -> None:
        """Refuses more entries than the disk can ever hold, before they are walked one by one."""
        disk = self._disk
        most = disk.f_files or disk.f_blocks * disk.f_frsize // _ENTRY_BYTES
        if most and self.entries > most:
            raise NoSpaceError(
                f"the tree has {format_count(self.entries, 'entry')}, more than the disk of "
                f"{self._path} can hold"
            )

    def _take(self, found: Difference) -> None:
        path, entry, status, _, stays = found
        if entry is None:
            self._take_extra(path, status)
        elif isinstance(entry, Folder):
            return
        elif stays:
            if isinstance(entry, File) and entry.first is None:
                self.kept += 1
        elif self.policy.makes(entry):
            if status is not None and stat.S_ISDIR(status.st_mode):
                self._check_replaceable(path)
            self._new += status is None
            if isinstance(entry, File) and entry.first is None:
                self._take_file(path, entry, status)
            else:
                self.others += 1

    def _take_file(self, path: bytes, entry: File, status: os.stat_result | None) -> None:
        self.files += 1
        self.length += entry.content.length
        if len(self._copies.contents) < _NOTED:
            self._copies.contents.add(entry.content.id)
        if status is None:
            if len(self._copies.sizes) < _NOTED:
                self._copies.sizes.add(entry.content.length)
        elif stat.S_ISREG(status.st_mode):
            self._replaced += status.st_blocks * 512
            self._cut(path)

    def _take_extra(self, path: bytes, status: os.stat_result | None) -> None:
        if self._root is None or status is None:
            return
        self.extras += 1
        if self._options.delete:
            for inner, its in below(self._root, path, opens_up=self._opens_up):
                self.extras += inner != path
                self._note_extra(inner, its)
        elif self._has_room:
            with suppress(OSError):  # unreadable entries cannot be seeds
                for inner, its in below(self._root, path):
                    self._note_extra(inner, its)

    def _note_extra(self, path: bytes, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode) and self._has_room:
            self._copies.extras.append((path, status.st_size))

    @property
    def _has_room(self) -> bool:
        return len(self._copies.extras) < _NOTED

    def _check_replaceable(self, path: bytes) -> None:
        """Checks that a folder in the place of another entry is empty, or may be deleted."""
        if self._options.delete or self._root is None:
            return
        if sum(1 for _ in below(self._root, path)) > 1:
            raise WriteError(
                f"{self._path / os.fsdecode(path)} is a folder that is not empty, but not a folder "
                f"in the tree",
                next_step="Move it, or give --delete.",
            )

    def _check_deletion(self, *, shares: bool) -> None:
        options = self._options
        if not options.delete or not self.extras:
            return
        if not shares:
            raise UsageError(
                f"{self._path} has nothing in common with the tree; --delete would empty it",
                next_step="Name the right folder, or empty it yourself.",
            )
        if options.max_delete is not None and self.extras > options.max_delete:
            raise UsageError(
                f"--delete would remove {format_count(self.extras, 'entry')} from {self._path}, "
                f"more than {options.max_delete}",
                next_step="Look with --dry-run, and give a larger --max-delete.",
            )

    def _check_space(self) -> None:
        disk = self._disk
        have = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and self.length - self._replaced > have:
            need = self._solid_bytes() - self._replaced - self._staged_bytes()
            if need > have:
                raise no_space(self._path, need, have)
        if disk.f_files and self._new > disk.f_favail:
            raise NoSpaceError(
                f"no room for {format_count(self._new, 'file')} on {self._path}; its file system "
                f"takes {disk.f_favail} more"
            )

    def _solid_bytes(self) -> int:
        """Bytes to write, without holes."""
        return sum(
            self._tree.solid_bytes(entry.content) for _, entry in self._of_marks(stays=False)
        )

    def _staged_bytes(self) -> int:
        """Bytes that an interrupted run left in the staging folder."""
        there = below(self._root, STAGING) if self._root is not None else ()
        return sum(status.st_blocks * 512 for _, status in there)

    def _of_marks(self, *, stays: bool) -> Iterator[tuple[bytes, File]]:
        """The files of the tree that stay, or that do not."""
        number = -1
        for path, entry, _ in self.steps:
            if entry is None or isinstance(entry, Folder):
                continue
            number += 1
            is_there = self.marks[number] > LEFT_OUT
            if isinstance(entry, File) and entry.first is None and is_there == stays:
                yield path, entry

    def _find_copies(self) -> None:
        """Uses renamed and copied files as seeds, which it finds by size or content."""
        for path, size in self._copies.extras:
            if size in self._copies.sizes:
                self._cut(path)
        wanted = self._copies.contents
        if self.kept and wanted:
            for path, entry in self._of_marks(stays=True):
                if entry.content.id in wanted:
                    wanted.remove(entry.content.id)
                    self._cut(path)
            for path, folder in self.settled.with_contents(wanted):
                self._find_copies_in(path, folder, wanted)

    def _find_copies_in(self, path: bytes, folder: Folder, wanted: set[bytes]) -> None:
        with suppress(NoObjectError):  # a settled folder need not be in the store
            for entry in self._tree.entries(folder.content):
                if isinstance(entry, File) and entry.content.id in wanted:
                    wanted.remove(entry.content.id)
                    self._cut(path + b"/" + entry.name)

    def _cut(self, path: bytes) -> None:
        if self._root is None or self._old is None:
            return
        with ExitStack() as stack, suppress(OSError):
            fd = open_beneath(self._root, path, os.O_RDONLY)
            stack.callback(os.close, fd)
            self._old.cut(path, fd)
