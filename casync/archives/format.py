"""The port of an archive format, and of the bytes that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias

from casync.archives.member import Member

__all__ = ["IGNORE", "ArchiveFormat", "ByteReader", "Refuse"]

Refuse: TypeAlias = Callable[[bytes], None]
"""Takes the name of a member that stands for no path, nor for the whole archive."""

IGNORE: Final[Refuse] = lambda _: None  # noqa: E731
"""Drops such names."""


class ByteReader(Protocol):
    """Bytes that can be read anywhere: an archive as it is stored, or decompressed."""

    @property
    def length(self) -> int:
        """How many bytes there are."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range; fewer only where the archive ends."""
        ...

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range in order, in blocks of bounded size."""
        ...


class ArchiveFormat(Protocol):
    """How one format lays out members."""

    @property
    def name(self) -> str:
        """The word for it: `tar`, `zip` or `msgpack`."""
        ...

    def scan(self, archive: ByteReader, refuse: Refuse = IGNORE) -> Iterator[Member]:
        """All members in the order of the archive, but those whose names stand for no path.

        Args:
            archive: The archive.
            refuse: Called with each such name.

        Raises:
            MalformedError: The archive breaks its format; the message says where.
        """
        ...

    def check(self, archive: ByteReader, member: Member) -> None:
        """Compares what an index says of a member with its header.

        Raises:
            IntegrityError: The archive says otherwise.
        """
        ...

    def proves(self, archive: ByteReader, member: Member) -> bool:
        """Whether the archive says beside the member's bytes how many there are, as its index does.

        It is asked after `check`, and only where an index is someone else's word: a member
        whose bytes end where that says could be cut short.
        """
        ...

    def read(self, archive: ByteReader, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The plain bytes of a part of a member.

        Raises:
            UnsupportedError: The member is sparse, encrypted, or stored by an unknown method.
            IntegrityError: Its bytes do not have the length or the checksum that they should have.
        """
        ...
