"""Chosen members of an archive as members of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from casync.archives.member import MemberKind
from casync.archives.plain_bytes import PlainBytes
from casync.archives.writing.new_format import NewFormat, archive_length
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import write_tar
from casync.errors import NotFoundError
from casync.ids import Buffer
from casync.ops.archive.chosen import Choice, ChosenMember, in_order, member_content
from casync.ops.archive.extract_plan import SPECIAL, ExtractPlan

__all__ = ["MembersTar", "members_of_archive"]


def members_of_archive(
    choice: Choice,
    kinds: frozenset[MemberKind],
    *,
    below: bytes = b"",
    leave_out: Callable[[bytes], None] = lambda _: None,
    plain: PlainBytes | None = None,
) -> Iterator[MemberWithBytes]:
    """Members in the order of the archive. Their bytes are read before the next one is asked for.

    Args:
        choice: The members.
        kinds: The kinds that the new archive has room for. Others are left out.
        below: What is put before all paths.
        leave_out: Called with the paths of devices and pipes, which are left out, too.
        plain: Bounds them with others; None for them alone.

    Raises:
        MalformedError: They have far more plain bytes than an archive has.
        UnsupportedError: A member cannot be read.
        CasyncError: As `Choice.members`.
    """
    totals = ExtractPlan()
    plain = plain or PlainBytes(choice.archive.content.length)

    def readable() -> Iterator[ChosenMember]:
        for one in choice.members(hard_links=MemberKind.HARDLINK in kinds):
            if _kind(one) is MemberKind.OTHER:
                leave_out(one.path)
                continue
            if _kind(one) not in kinds:
                continue
            totals.read(one.member)
            if one.member.kind is MemberKind.FILE:
                choice.archive.require_file(one.member)
                totals.add(one.member)
                plain.take(one.member.length, one.path)
            yield one

    with in_order(readable()) as rows:
        archive = choice.archive.onwards() if totals.goes_onwards else choice.archive
        for one in rows:
            member, kind = one.member, _kind(one)
            is_file = kind is MemberKind.FILE
            if member.kind is not MemberKind.FILE:
                archive.check(member)
            target = member.target if one.first is None else below + one.first
            new = NewMember(
                below + one.path,
                kind,
                member.length if is_file else 0,
                member.mode,
                member.mtime,
                b"" if is_file else target,
            )
            yield new, member_content(archive, member) if is_file else ()


class MembersTar:
    """Chosen members as one tar.

    Args:
        choice: The members.
        label: What messages call the archive.

    Attributes:
        length: Bytes of the tar.
        plan: Counts its members.

    Raises:
        NotFoundError: Nothing is chosen.
        CasyncError: As `members_of_archive`.
    """

    def __init__(self, choice: Choice, label: str) -> None:
        self._choice = choice
        self.plan = ExtractPlan()
        length = archive_length(NewFormat.TAR, self._counted())
        assert length is not None
        self.length = length
        if not self.plan.files + self.plan.folders + self.plan.links:
            raise NotFoundError(
                f"the selection matches no member of {label}",
                next_step=f"`casync archive ls {label}` lists what it has.",
            )

    def blocks(self) -> Iterator[Buffer]:
        """All of its bytes.

        Raises:
            NoObjectError, IntegrityError: A part is missing, or damaged; what came is not whole.
        """
        return write_tar(self._members())

    def _members(self) -> Iterator[MemberWithBytes]:
        return members_of_archive(self._choice, NewFormat.TAR.kinds)

    def _counted(self) -> Iterator[NewMember]:
        kinds = NewFormat.TAR.kinds
        for new, _ in members_of_archive(
            self._choice, kinds, leave_out=lambda path: self.plan.leave_out(path, SPECIAL)
        ):
            self.plan.files += new.kind is MemberKind.FILE
            self.plan.folders += new.kind is MemberKind.FOLDER
            self.plan.links += new.kind in (MemberKind.SYMLINK, MemberKind.HARDLINK)
            yield new


def _kind(one: ChosenMember) -> MemberKind:
    return one.member.kind if one.first is None else MemberKind.HARDLINK
