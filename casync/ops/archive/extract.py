"""Extracts members of an archive into a folder, and writes nothing outside it.

Folders are made first, in the order of paths. Then files and links are made in the order of the
archive, so a compressed one is decompressed once: each file grows in a staging folder and moves to
its place when it is whole. Hard links come next, and the metadata of folders last.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.archives.member import Member, MemberKind
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import Cursor
from casync.fs.extents import write_range
from casync.fs.lock import lock
from casync.fs.os_errors import writing_inside
from casync.fs.rights import close_again
from casync.fs.sorted_rows import SortedRows
from casync.fs.sync import settle_name
from casync.fs.target.metadata import MetadataPolicy
from casync.fs.target.publish import PublishQueue
from casync.fs.target.root import open_target
from casync.fs.target.staging import Staging
from casync.objects.node import EMPTY
from casync.objects.tree import Entry, File, Folder, Link, Meta, bounded_time
from casync.ops.archive.chosen import Choice, ChosenMember, in_order, member_content
from casync.ops.archive.extract_plan import Extraction, ExtractPlan
from casync.sizes import format_count

__all__ = ["Extracted", "extract", "plan_extraction"]

_NS: Final = 1_000_000_000
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Extracted(NamedTuple):
    """The result of an extraction.

    Attributes:
        plan: What was made.
        skipped: Failures to set metadata, by kind.
        seconds: Duration.
    """

    plan: ExtractPlan
    skipped: dict[str, int]
    seconds: float


def plan_extraction(choice: Choice, label: str, target: Path) -> ExtractPlan:
    """What `extract` with the same arguments would do.

    Raises:
        CasyncError: As `extract`.
    """
    with open_target(target, make=False) as root:
        extraction = Extraction(choice, label, target, root)
        for _ in extraction.members():
            pass
    return extraction.plan


def extract(choice: Choice, label: str, target: Path, progress: Progress = SILENT) -> Extracted:
    """Writes members of an archive below a folder.

    Args:
        choice: The members.
        label: What messages call the archive.
        target: The folder. It is made if it is missing, and its parent is there.
        progress: Receives phases and bytes.

    Raises:
        MalformedError, UnsupportedError, NotFoundError, WriteError, NoSpaceError: As
            `Extraction.members`; nothing was changed.
        LockedError: A pull, or another extraction, writes to the folder.
        IntegrityError, NoObjectError: A member is damaged, or a part is missing. What was written
            before stays.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        root = stack.enter_context(open_target(target, make=False, opens_up=True))
        if root is not None:
            lock(root, target)
        extraction = Extraction(choice, label, target, root)
        rows = stack.enter_context(in_order(extraction.members()))
        plan = extraction.plan
        if root is None:
            root = stack.enter_context(open_target(target, make=True))
            assert root is not None
            lock(root, target)
        archive = choice.archive.onwards() if plan.goes_onwards else choice.archive
        progress.start(f"extracting {format_count(plan.files, 'file')}", plan.length)
        work = _Work(choice._replace(archive=archive), root, target, progress)
        work.run(rows)
        settle_name(target)
    skipped = {what: count for what, count in work.policy.skipped.items() if count}
    return Extracted(plan, skipped, time.monotonic() - started)


class _Work:
    def __init__(self, choice: Choice, root: int, target: Path, progress: Progress) -> None:
        self.policy = MetadataPolicy(exact=False)
        self._choice = choice
        self._root = root
        self._target = target
        self._progress = progress

    def run(self, rows: Iterator[ChosenMember]) -> None:
        """Makes everything.

        Raises:
            CasyncError: As `extract`.
        """
        with ExitStack() as stack:
            cursor = stack.enter_context(Cursor(self._root, opens_up=True))
            self._make_folders(cursor)
            stack.callback(close_again, self._root, cursor.opened)
            self._staging = stack.enter_context(closing(Staging(self._root, self._target)))
            stack.callback(self._staging.remove)
            self._queue = stack.enter_context(
                closing(
                    PublishQueue(
                        self._root,
                        self._target,
                        self._staging,
                        lambda _number, _status: None,
                        replace_folders=False,
                    )
                )
            )
            self._make_leaves(rows)
        self._finish_folders()
        self._queue.sync_names()

    def _make_folders(self, cursor: Cursor) -> None:
        """Makes all folders, and replaces by them what is in their places."""
        for one in self._choice.members():
            kind = one.member.kind
            folder = one.path if kind is MemberKind.FOLDER else one.path.rpartition(b"/")[0]
            if kind is MemberKind.OTHER or folder == cursor.path:
                continue
            names, here = folder.split(b"/") if folder else [], cursor.path.split(b"/")
            same = 0
            while same < min(len(names), len(here)) and names[same] == here[same]:
                same += 1
            for _ in range(len(here) - same if here[0] else 0):
                cursor.leave()
            with writing_inside(self._target, folder):
                for number, name in enumerate(names[same:], same + 1):
                    is_member = kind is MemberKind.FOLDER and number == len(names)
                    self._enter(cursor, name, 0o700 if is_member else 0o777)

    def _enter(self, cursor: Cursor, name: bytes, mode: int) -> None:
        status = cursor.look(name)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=cursor.fd)
            status = None
        if status is None:
            os.mkdir(name, mode, dir_fd=cursor.fd)
        cursor.enter(name)

    def _make_leaves(self, rows: Iterator[ChosenMember]) -> None:
        with SortedRows(ChosenMember, lambda one: one.path, "the hard links") as hard_links:
            for one in rows:
                if one.member.kind is not MemberKind.FILE:
                    self._choice.archive.check(one.member)
                if one.first is not None:
                    hard_links.add(one)
                elif one.member.kind is not MemberKind.FOLDER:
                    self._make(one.path, one.member)
            self._queue.flush()
            for one in hard_links:
                assert one.first is not None
                self._link(one.path, one.first)

    def _make(self, path: bytes, member: Member) -> None:
        """Makes a file or a symbolic link in the staging folder, and queues it for its place."""
        folder, name = self._staging.fd, self._staging.fresh_name(path)
        with writing_inside(self._target, path, member.length):
            if member.kind is MemberKind.SYMLINK:
                os.symlink(member.target, name, dir_fd=folder)
            else:
                fd = os.open(name, _NEW, 0o600, dir_fd=folder)
                try:
                    self._fill(fd, member)
                finally:
                    os.close(fd)
            self.policy.apply(_entry(member), self._staging.thing(name))
        self._queue.add(name, path, 0, member.length)

    def _fill(self, fd: int, member: Member) -> None:
        at = 0
        for block in member_content(self._choice.archive, member):
            write_range(fd, at, [block])
            at += len(block)
            self._progress.advance(len(block))

    def _link(self, path: bytes, first: bytes) -> None:
        folder, _, name = first.rpartition(b"/")
        with writing_inside(self._target, path):
            fd = open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
            try:
                fresh, there = self._staging.fresh_name(path), self._staging.fd
                os.link(name, fresh, src_dir_fd=fd, dst_dir_fd=there, follow_symlinks=False)
            finally:
                os.close(fd)
        self._queue.place(fresh, path)

    def _finish_folders(self) -> None:
        """Sets the metadata of folders, inner ones first: a mode may forbid entering."""
        waiting: list[tuple[bytes, Member]] = []  # each begins the next
        for one in self._choice.members():
            while waiting and not one.path.startswith(waiting[-1][0]):
                self._dress(*waiting.pop())
            if one.member.kind is MemberKind.FOLDER:
                waiting.append((one.path, one.member))
        while waiting:
            self._dress(*waiting.pop())

    def _dress(self, path: bytes, member: Member) -> None:
        with writing_inside(self._target, path):
            fd = open_beneath(self._root, path, FOLDER)
            try:
                self.policy.apply(_entry(member), fd)
            finally:
                os.close(fd)


def _entry(member: Member) -> Entry:
    """A member as an entry of a tree, for its metadata."""
    meta = Meta(member.mode, bounded_time(member.mtime * _NS), 0, 0, "", "", ())
    match member.kind:
        case MemberKind.FOLDER:
            return Folder(b"", meta, EMPTY)
        case MemberKind.SYMLINK:
            return Link(b"", meta, None, member.target)
        case _:
            return File(b"", meta, None, EMPTY)
