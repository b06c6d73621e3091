"""Where rebuilt content goes: a new file beside the target, or the target itself.

Bytes may arrive in any order and from several threads. Nothing is believed of bytes that are there
already; whoever resumes hashes them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from casync.fs.identity import FileIdentity
from casync.fs.target.in_place import InPlaceFile
from casync.fs.target.part import PartFile
from casync.fs.target.place import TargetPlace
from casync.ids import Buffer

__all__ = ["Sink", "open_sink"]


class Sink(Protocol):
    """A target while it is written. A context manager: leaving it closes.

    Attributes:
        length: Plain bytes of the content.
        resumed: Bytes that are there already may be right; they are read and hashed first.
        readable: What was written can be read back.
        discards: Nobody wants the bytes here.
    """

    length: int
    resumed: bool
    readable: bool
    discards: bool

    @property
    def allocated(self) -> int:
        """Bytes that the file occupies by now."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`, old or new; fewer at the end."""
        ...

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes neighbouring buffers from `offset` on.

        Raises:
            NoSpaceError, WriteError: Not all of them could be written.
        """
        ...

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros, a hole where possible."""
        ...

    def settle(self, end: int) -> None:
        """Everything before `end` is written."""
        ...

    def commit(self) -> list[str]:
        """Makes the content durable and visible. Returns notes for people.

        Raises:
            NoSpaceError, WriteError: It may not be durable. A target that would be replaced is
                the old one, or the new one whose name may not survive a power loss.
        """
        ...

    def identity(self) -> FileIdentity:
        """What the file system says of the target now."""
        ...

    def close(self) -> None:
        """Lets go. What was not committed stays for the next run. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_sink(place: TargetPlace, length: int) -> Sink:
    """Opens and locks the target.

    Args:
        place: From `inspect_place`.
        length: Plain bytes that it will have.

    Raises:
        LockedError: Somebody else writes to it.
        NoSpaceError: A device is too small, or no file may be that large.
        WriteError: It cannot be opened, or something strange is in the way.
    """
    if place.in_place:
        return InPlaceFile(place, length)
    return PartFile(place, length)
