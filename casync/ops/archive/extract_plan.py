"""Plans an extraction before anything is changed, and refuses what is known to fail later."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from casync.archives.member import Member, MemberKind
from casync.errors import MalformedError, NoSpaceError, NotFoundError, UnsupportedError, WriteError
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import look
from casync.fs.os_errors import no_space, write_error
from casync.fs.target.staging import STAGING
from casync.limits import MAX_FILE_NAME, MAX_LINK_TARGET, MAX_REFUSED_NAMES, MIB
from casync.ops.archive.chosen import Choice, ChosenMember
from casync.sizes import format_count

__all__ = ["SPECIAL", "ExtractPlan", "Extraction", "LeftOutMember"]

_REWIND: Final = 2 * MIB
"""Plain bytes that are decompressed, on average, to begin in the middle of a gzip."""


SPECIAL: Final = "it is a device or a pipe"
_REFUSED: Final = "its name leads out of the archive, or is too long"
"""Why members are left out."""


class LeftOutMember(NamedTuple):
    """The name of a member that is left out, and the reason."""

    name: bytes
    reason: str


@dataclass
class ExtractPlan:
    """What an extraction does.

    Attributes:
        files: Files to write.
        length: Their bytes.
        folders: Folders in the archive.
        links: Symbolic links and hard links.
        left_out: Members that are not made.
        left_out_names: The first of them.
        reads: Members that are looked at in the archive: all but devices and pipes.
        reach: Where the last of them ends in the plain archive.
    """

    files: int = 0
    length: int = 0
    folders: int = 0
    links: int = 0
    left_out: int = 0
    left_out_names: list[LeftOutMember] = field(default_factory=list)
    reads: int = 0
    reach: int = 0

    @property
    def goes_onwards(self) -> bool:
        """Whether decompressing from the beginning costs less than beginning at each member."""
        return self.reads * _REWIND + self.length >= self.reach

    def leave_out(self, name: bytes, reason: str) -> None:
        """Counts a member that is left out."""
        self.left_out += 1
        if len(self.left_out_names) < MAX_REFUSED_NAMES:
            self.left_out_names.append(LeftOutMember(name, reason))

    def leave_refused_out(self, choice: Choice) -> None:
        """Counts those that the index leaves out, if the whole archive is meant."""
        number, names = choice.archive.index.refused
        if choice.folder or choice.selection.text:
            return
        for name in names:
            self.leave_out(name, _REFUSED)
        self.left_out += number - len(names)

    def add(self, member: Member) -> None:
        """Counts a file."""
        self.files += 1
        self.length += member.length

    def read(self, member: Member) -> None:
        """Counts a member that is looked at."""
        self.reads += 1
        self.reach = max(self.reach, member.offset + member.stored)


class Extraction:
    """Members on their way into a folder, checked in the order of their paths.

    Args:
        choice: The members.
        label: What messages call the archive.
        target: Path of the folder.
        root: Descriptor of the folder; None if it does not exist yet.

    Attributes:
        plan: Counts what `members` gave.
    """

    def __init__(self, choice: Choice, label: str, target: Path, root: int | None) -> None:
        self.plan = ExtractPlan()
        self._choice = choice
        self._label = label
        self._target = target
        self._root = root
        self._replaced = self._new = 0

    def members(self) -> Iterator[ChosenMember]:
        """The members that are made, in the order of their paths. Checks the disk at the end.

        Raises:
            MalformedError: Names or links that no folder can have, or a file with members in it.
            UnsupportedError: A member cannot be read, or has the name of the staging folder.
            NotFoundError: Nothing is chosen.
            WriteError: A folder that is not empty is in the place of a file.
            NoSpaceError: The files do not fit on the disk.
            CasyncError: As `Choice.members`.
        """
        before: list[bytes] = []  # paths of other members than folders, each begins the next
        for one in self._choice.members():
            path, kind = one.path, one.member.kind
            while before and not path.startswith(before[-1]):
                before.pop()
            try:
                self._check_names(path, before)
                if kind is not MemberKind.OTHER:
                    self._count(one)
            except (MalformedError, UnsupportedError) as error:
                error.next_step = self._choice.without(path)
                raise
            if kind is not MemberKind.FOLDER:
                before.append(path)
            if kind is MemberKind.OTHER:
                self.plan.leave_out(path, SPECIAL)
            else:
                yield one
        plan = self.plan
        if not plan.files + plan.folders + plan.links + plan.left_out:
            raise NotFoundError(
                f"the selection matches no member of {self._label}",
                next_step=f"`casync archive ls {self._label}` lists what it has.",
            )
        plan.leave_refused_out(self._choice)
        self._check_space()

    def _check_names(self, path: bytes, before: list[bytes]) -> None:
        names = path.split(b"/")
        shown = os.fsdecode(path)
        if names[0] == STAGING:
            raise UnsupportedError(
                f"{self._label} has {shown}, the name of the folder for unfinished files"
            )
        if max(map(len, names)) > MAX_FILE_NAME:
            raise MalformedError(f"a name in {self._label} has more than {MAX_FILE_NAME} bytes")
        if len(names) > 1 and before:
            known = set(before)
            for count in range(1, len(names)):
                if b"/".join(names[:count]) in known:
                    file = os.fsdecode(b"/".join(names[:count]))
                    raise MalformedError(f"{self._label} has {shown}, but {file} is not a folder")

    def _count(self, one: ChosenMember) -> None:
        path, member, first = one.path, one.member, one.first
        self.plan.read(member)
        match member.kind:
            case MemberKind.FOLDER:
                self.plan.folders += 1
                return
            case MemberKind.SYMLINK:
                target = member.target
                if not 0 < len(target) <= MAX_LINK_TARGET or b"\0" in target:
                    raise MalformedError(
                        f"{os.fsdecode(path)} in {self._label} is a link to nowhere"
                    )
                self.plan.links += 1
            case _ if first is not None:
                self.plan.links += 1
            case _:
                self._choice.archive.require_file(member)
                self.plan.add(member)
        self._look(path)

    def _look(self, path: bytes) -> None:
        """Looks at what is in the place of a file or a link."""
        status = self._status(path)
        if status is None:
            self._new += 1
        elif stat.S_ISREG(status.st_mode):
            self._replaced += status.st_blocks * 512
        elif stat.S_ISDIR(status.st_mode) and not self._is_empty(path):
            raise WriteError(
                f"{self._target / os.fsdecode(path)} is a folder that is not empty, but not a "
                f"folder in {self._label}",
                next_step="Move it, or extract to another folder.",
            )

    def _status(self, path: bytes) -> os.stat_result | None:
        if self._root is None:
            return None
        folder, _, name = path.rpartition(b"/")
        with suppress(OSError):  # there is no such folder, or it is opened up later
            fd = open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
            try:
                return look(fd, name)
            finally:
                os.close(fd)
        return None

    def _is_empty(self, path: bytes) -> bool:
        assert self._root is not None
        try:
            fd = open_beneath(self._root, path, FOLDER)
        except OSError as error:
            raise write_error(error, self._target / os.fsdecode(path)) from error
        try:
            return not os.listdir(fd)
        finally:
            os.close(fd)

    def _check_space(self) -> None:
        disk = os.statvfs(self._target if self._root is not None else self._target.parent)
        have, need = disk.f_bavail * disk.f_frsize, self.plan.length - self._replaced
        if disk.f_blocks and need > have:
            raise no_space(self._target, need, have)
        if disk.f_files and self._new > disk.f_favail:
            raise NoSpaceError(
                f"no room for {format_count(self._new, 'file')} on {self._target}; its file system "
                f"takes {disk.f_favail} more"
            )
