"""What inputs have in common: the port that prepare reads through, and the words for its parts.

Must not know what becomes of the bytes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from casync.errors import CasyncError, DeniedError, NotFoundError, SourceChangedError, UsageError
from casync.fs.identity import FileIdentity
from casync.limits import MIB

__all__ = ["BLOCK_BYTES", "Hole", "Positioned", "FileStamp", "Source", "Span", "reading"]

BLOCK_BYTES: Final = 4 * MIB
"""Bytes that are read at once: enough to keep the costs of a step small."""


class Hole(NamedTuple):
    """`length` zero bytes that nobody needs to read."""

    length: int


class Span(NamedTuple):
    """Bytes from `start` to `end`, to be read by position by whoever cuts them.

    Attributes:
        start: An offset in the content.
        end: Another.
        reach: Where the bytes end that can be read by now. At least the largest chunk beyond
            `end`, unless the content ends before.
    """

    start: int
    end: int
    reach: int


class FileStamp(NamedTuple):
    """A file as it was seen before it was read: what a store may remember of it."""

    path: bytes
    identity: FileIdentity
    settled: bool


class Positioned(Protocol):
    """Content that can be read by position while it comes."""

    @property
    def label(self) -> str:
        """What errors call it."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes in all, or None as long as nobody knows."""
        ...

    @property
    def descriptor(self) -> int:
        """An open file from which others can read."""
        ...

    def spans(self, size: int) -> Iterator[Span | Hole]:
        """Everything in order, in spans of at most `size` bytes; each may be read when it comes.

        Raises:
            CasyncError: It cannot be read.
        """
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at `offset`; fewer only where no more can be read by now.

        Raises:
            SourceChangedError: It does not reach as far as it did.
            CasyncError: It cannot be read.
        """
        ...

    def forget(self, offset: int) -> None:
        """Takes notice that nobody will read what lies before `offset` again."""
        ...

    def compare(self) -> None:
        """Proves that all that was read belongs to one version of the content.

        Raises:
            SourceChangedError: It does not.
            CasyncError: It cannot be read.
        """
        ...


class Source(Protocol):
    """Bytes in order."""

    @property
    def label(self) -> str:
        """What errors call it."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes in all, or None when nobody knows."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether `blocks` may be called again after it failed."""
        ...

    def stamp(self) -> FileStamp | None:
        """What may be remembered of what `blocks` reads, or None."""
        ...

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """Reads everything, in blocks of at most `size` bytes.

        Raises:
            SourceChangedError: It did not stay the same; raised at the end at the latest.
            CasyncError: It cannot be read.
        """
        ...

    def positioned(self, least: int) -> Positioned | None:
        """The same bytes, to be read by position instead, if they are known to be `least`."""
        ...


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Translates what goes wrong while `label` is read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no file {label}") from error
    except PermissionError as error:
        raise DeniedError(f"may not read {label}") from error
    except ValueError as error:  # a NUL in a path, a closed stream
        raise UsageError(f"cannot read {label!r}: {error}") from error
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise SourceChangedError(f"{label} vanished while it was read") from error
        raise CasyncError(f"cannot read {label}: {error.strerror or error}") from error
