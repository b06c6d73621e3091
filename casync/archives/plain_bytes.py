"""The bound on what archives unpack to, wherever it goes."""

from __future__ import annotations

from casync.archives.member import shown
from casync.errors import MalformedError
from casync.limits import FREE_UNPACKED_BYTES, MAX_UNPACKED_RATIO
from casync.sizes import format_size

__all__ = ["PlainBytes"]


class PlainBytes:
    """Plain bytes that come out of archives, as many as the stored bytes allow.

    Args:
        stored: Bytes of an archive as it is stored; `add` adds more.
    """

    def __init__(self, stored: int = 0) -> None:
        self._stored = stored
        self._plain = 0

    def add(self, stored: int) -> None:
        """Adds bytes of an archive, or another archive."""
        self._stored += stored

    def take(self, count: int, path: bytes = b"") -> None:
        """Counts plain bytes that came, or that a member will have.

        Args:
            count: How many.
            path: The member, if it is known.

        Raises:
            MalformedError: They are far more than archives of so many bytes have.
        """
        self._plain += count
        if self._plain > self._stored * MAX_UNPACKED_RATIO + FREE_UNPACKED_BYTES:
            inside = f" of {shown(path)}" if path else ""
            raise MalformedError(
                f"{format_size(self._stored)} of archives become {format_size(self._plain)} or more"
                f", with {format_size(count)}{inside}: it looks like a bomb",
                next_step="If you trust it, unpack it with another program, and prepare the "
                "result; `casync archive get REF --extract DIR` unpacks a zip.",
            )
