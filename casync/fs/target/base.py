"""The port that rebuilt content is written through: to a part file, or in place.

Bytes may arrive in any order and from several threads. Existing bytes are untrusted: a resumed run
hashes them first.
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
    """A target while it is written. A context manager: leaving it closes the target.

    Attributes:
        length: Plain bytes of the content.
        resumed: Existing bytes may be right; they are read and hashed first.
        readable: Written bytes can be read back.
        discards: The target discards all bytes.
    """

    length: int
    resumed: bool
    readable: bool
    discards: bool

    @property
    def allocated(self) -> int:
        """Bytes that the file occupies now."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`, old or new; fewer at the end."""
        ...

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on.

        Raises:
            NoSpaceError, WriteError: They could not all be written.
        """
        ...

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros, a hole where possible."""
        ...

    def settle(self, end: int) -> None:
        """Takes note that everything before `end` is written."""
        ...

    def commit(self) -> list[str]:
        """Makes the content durable and visible. Returns notes for the user.

        Raises:
            NoSpaceError, WriteError: The content may not be durable. A replaced target is either
                the old file, or the new one whose name may not survive a power loss.
        """
        ...

    def identity(self) -> FileIdentity:
        """The identity of the target now."""
        ...

    def close(self) -> None:
        """Closes the target. Uncommitted bytes stay for the next run. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_sink(place: TargetPlace, length: int) -> Sink:
    """Opens and locks the target.

    Args:
        place: From `inspect_place`.
        length: Plain bytes of the new content.

    Raises:
        LockedError: Another process writes to it.
        NoSpaceError: A device is too small, or a file may not be that large.
        WriteError: It cannot be opened, or its name is taken by something else.
    """
    if place.in_place:
        return InPlaceFile(place, length)
    return PartFile(place, length)
