"""Proved reads: plain bytes of objects, each compared with the id that names it.

This is the one place where an answer of `ObjectSource.get` becomes bytes that may be used. What a
source lacks, and what is not what its id names, is a `Lost`; the caller chooses whether that is an
error, a gap, or something to take down. Chunks that a pull decodes by the hundred go through
`Unpacker.unpack_chunks` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    NoObjectError,
    UnreachableError,
)
from casync.ids import Kind, ObjectId
from casync.objects.codec import Packed, Unpacker
from casync.store.base import Absence

__all__ = ["Gets", "Lost", "ProvedReader", "prove"]


_NEXT: Final = "`casync verify` finds all damage, `casync store reindex` drops it."


class Gets(Protocol):
    """What a proved read needs of an `ObjectSource`."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        ...


class Lost(NamedTuple):
    """An object that cannot be had.

    Attributes:
        kind: Its kind.
        id: Its id.
        absence: Why; `DAMAGED` also when its bytes are not those that the id names.
        detail: How that showed; empty when the source said so itself.
    """

    kind: Kind
    id: ObjectId
    absence: Absence
    detail: str = ""

    def error(self, missing: type[CasyncError] = NoObjectError) -> CasyncError:
        """The same as an error; `missing` is its class for an object that is not there."""
        label = f"{self.kind.name.lower()} {self.id.hex()}"
        if self.absence is Absence.BUSY:
            return UnreachableError(f"no answer for {label}: the server is too busy")
        if self.absence is Absence.MISSING and missing is not DamagedObjectError:
            return missing(f"{label} is missing")
        message = self.detail or f"{label} is {self.absence.value}"
        return DamagedObjectError(
            message if label in message else f"{label}: {message}", next_step=_NEXT
        )


class ProvedReader:
    """Proved reads of one source. Used by one thread.

    Args:
        source: Where objects are.
        missing: The class of error for one that is not there. Where a manifest is full, its
            objects are damaged if they are missing.
    """

    def __init__(self, source: Gets, missing: type[CasyncError] = NoObjectError) -> None:
        self._source = source
        self._missing = missing
        self._unpacker = Unpacker()

    def look(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | Lost]:
        """The plain bytes of each object, in the order asked, or why it cannot be had.

        Raises:
            CasyncError: What `source` raises.
        """
        for ident, answer in zip(ids, self._source.get(kind, ids), strict=True):
            yield prove(kind, ident, answer, self._unpacker)

    def plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes]:
        """The plain bytes of each object, in the order asked.

        Raises:
            NoObjectError: One is missing; or what else `missing` says.
            DamagedObjectError: The bytes of one are not those that its id names.
            CasyncError: What `source` raises.
        """
        for found in self.look(kind, ids):
            if isinstance(found, Lost):
                raise found.error(self._missing)
            yield found

    def one(self, kind: Kind, ident: ObjectId) -> bytes:
        """The plain bytes of one object.

        Raises:
            CasyncError: As `plain`.
        """
        (data,) = self.plain(kind, [ident])
        return data

    def found(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """The plain bytes of each object, in the order asked; None for what cannot be had.

        Raises:
            CasyncError: What `source` raises.
        """
        for found in self.look(kind, ids):
            yield None if isinstance(found, Lost) else found


def prove(
    kind: Kind, ident: ObjectId, answer: Packed | Absence, unpacker: Unpacker
) -> bytes | Lost:
    """The plain bytes in the answer for one object, or why they cannot be had."""
    if isinstance(answer, Absence):
        return Lost(kind, ident, answer)
    try:
        return unpacker.unpack(answer)
    except IntegrityError as error:
        return Lost(kind, ident, Absence.DAMAGED, error.message)
