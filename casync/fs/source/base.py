"""The port that `prepare` reads inputs through, and its types."""

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
"""Bytes that are read at once: enough to make the cost of a step negligible."""


class Hole(NamedTuple):
    """`length` zero bytes that need not be read."""

    length: int


class Span(NamedTuple):
    """Bytes from `start` to `end`, for a cutter to read by position.

    Attributes:
        start: Offset of the first byte.
        end: Offset after the last byte.
        reach: Offset up to which bytes can be read by now: at least the largest chunk beyond
            `end`, unless the content ends earlier.
    """

    start: int
    end: int
    reach: int


class FileStamp(NamedTuple):
    """A file's path and identity before it was read, as a store may remember them.

    Attributes:
        path: Its path, absolute and without links.
        identity: Its identity.
        settled: Whether equal identities prove equal bytes.
    """

    path: bytes
    identity: FileIdentity
    settled: bool


class Positioned(Protocol):
    """Content that can be read by position while it arrives."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes of the content, or None while unknown."""
        ...

    @property
    def descriptor(self) -> int:
        """An open file that other processes can read from."""
        ...

    def spans(self, size: int) -> Iterator[Span | Hole]:
        """Everything in order, in spans of at most `size` bytes; each is readable once yielded.

        Raises:
            CasyncError: It cannot be read.
        """
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at `offset`; fewer only where no more can be read by now.

        Raises:
            SourceChangedError: The content has shrunk.
            CasyncError: It cannot be read.
        """
        ...

    def forget(self, offset: int) -> None:
        """Allows the source to free everything before `offset`."""
        ...

    def compare(self) -> None:
        """Proves that all bytes read belong to one version of the content.

        Raises:
            SourceChangedError: They do not.
            CasyncError: It cannot be read.
        """
        ...


class Source(Protocol):
    """Bytes in order."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes of the content, or None if unknown."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether `blocks` may be called again after it failed."""
        ...

    def stamp(self) -> FileStamp | None:
        """The stamp of what `blocks` reads, for a store to remember, or None."""
        ...

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """Reads everything, in blocks of at most `size` bytes.

        Raises:
            SourceChangedError: It changed while it was read; raised at the end at the latest.
            CasyncError: It cannot be read.
        """
        ...

    def positioned(self, least: int) -> Positioned | None:
        """The same bytes, to read by position, if the content is known to have `least` bytes."""
        ...


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Translates errors while `label` is read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no file {label}") from error
    except PermissionError as error:
        raise DeniedError(f"cannot read {label}: permission denied") from error
    except ValueError as error:  # a NUL in a path, a closed stream
        raise UsageError(f"cannot read {label!r}: {error}") from error
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise SourceChangedError(f"{label} vanished while it was read") from error
        raise CasyncError(f"cannot read {label}: {error.strerror or error}") from error
