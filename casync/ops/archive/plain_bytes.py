"""A bound on what members of archives unpack to, on their way into another archive."""

from __future__ import annotations

from casync.access.archive import Archive
from casync.archives.member import Member, shown
from casync.errors import MalformedError
from casync.limits import FREE_UNPACKED_BYTES, MAX_UNPACKED_RATIO
from casync.sizes import format_size

__all__ = ["PlainBytes"]


class PlainBytes:
    """Plain bytes that members may still have, as `prepare --unpack` bounds them.

    Args:
        archives: The archives that they are in; `open` adds more.
    """

    def __init__(self, *archives: Archive) -> None:
        self._left = FREE_UNPACKED_BYTES
        for archive in archives:
            self.open(archive)

    def open(self, archive: Archive) -> None:
        """Adds what the members of an archive may have."""
        self._left += archive.stored.length * MAX_UNPACKED_RATIO

    def take(self, archive: Archive, member: Member) -> None:
        """Counts a file of one of the archives.

        Raises:
            MalformedError: They have far more plain bytes than archives have.
        """
        self._left -= member.length
        if self._left < 0:
            raise MalformedError(
                f"{format_size(archive.stored.length)} of an archive would become far more, "
                f"{format_size(member.length)} in {shown(member.path)}: it looks like a bomb",
                next_step="`casync archive get REF --extract DIR` writes the members, "
                "if there is room for them.",
            )
