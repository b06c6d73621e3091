"""Proved reads: plain bytes of objects, each compared with its id.

Answers of `ObjectSource.get` become usable bytes only here. Objects that are missing, or do not
match their ids, become a `Lost`; the caller decides whether that is an error, a gap, or a row of a
report. The hundreds of chunks in a window of a pull go through `Unpacker.unpack_chunks` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol, runtime_checkable

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    NoObjectError,
    UnreachableError,
)
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Unpacker
from casync.store.base import Absence, ManifestSource, ManifestState

__all__ = [
    "HERE",
    "NO_SOURCE_STEP",
    "OTHER_SERVER_STEP",
    "ChunkReads",
    "Gets",
    "Lost",
    "ProvedReader",
    "damaged_at",
    "prove",
    "unless_removed",
]

HERE: Final = "in the local store"
"""Where an object is, in messages about a store of this machine."""

NO_SOURCE_STEP: Final = "Name a server that has it with --server URL."

_REPAIR_STEP: Final = (
    "`casync verify` lists all damage; `casync repair --server URL` replaces it, or, without a "
    "server that has it, `casync store reindex` drops it."
)
OTHER_SERVER_STEP: Final = (
    "Name a server that has it with --server URL; `casync repair` mends the store of a server, and "
    "a site is published again, into an empty place."
)


class Gets(Protocol):
    """The part of `ObjectSource` that proved reads use."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        ...


@runtime_checkable
class ChunkReads(Protocol):
    """A source that proves many chunks with fewer steps than `prove` takes for each."""

    def plain_chunks(self, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """The plain bytes of each chunk, proved; None for one whose answer of `get` says more."""
        ...


class Lost(NamedTuple):
    """An object that a source did not return, or that does not match its id.

    Attributes:
        kind: Its kind.
        id: Its id.
        absence: The reason; `DAMAGED` also if the bytes do not match the id.
        detail: The error found here; empty if the source reported the absence.
    """

    kind: Kind
    id: ObjectId
    absence: Absence
    detail: str = ""

    def error(self, missing: type[CasyncError] = NoObjectError, part: str = "") -> CasyncError:
        """The error for it.

        Args:
            missing: The class of errors for missing objects.
            part: The part of the content that it is, for people; may be empty.
        """
        label = f"{self.kind.name.lower()} {self.id.hex()}"
        if part:
            label += f" ({part})"
        if self.absence is Absence.BUSY:
            return UnreachableError(f"no answer for {label}: the server is too busy")
        if self.absence is Absence.MISSING and missing is not DamagedObjectError:
            return missing(f"{label} is missing")
        if self.absence is Absence.MISSING:
            return DamagedObjectError(f"{label} is missing", next_step=_REPAIR_STEP)
        detail = f": {self.detail}" if self.detail and self.id.hex() not in self.detail else ""
        return DamagedObjectError(f"{label} is damaged{detail}", next_step=_REPAIR_STEP)


def damaged_at(label: str, places: Sequence[str]) -> DamagedObjectError:
    """The error for an object that is damaged wherever it is.

    Args:
        label: The object.
        places: Where it is damaged: `HERE`, or `on` and the origin of a server.
    """
    where = " and ".join(dict.fromkeys(places))
    step = _REPAIR_STEP if where == HERE else OTHER_SERVER_STEP
    return DamagedObjectError(f"{label} is damaged {where}", where=where, next_step=step)


class ProvedReader:
    """Proved reads of one source. Used by one thread.

    Args:
        source: Has the objects.
        missing: The class of errors for missing objects. Below a full manifest a missing object
            means damage.
    """

    def __init__(self, source: Gets, missing: type[CasyncError] = NoObjectError) -> None:
        self._source = source
        self._missing = missing
        self._unpacker = Unpacker()

    def look(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | Lost]:
        """The plain bytes of each object, or a `Lost`, in the order asked.

        Raises:
            CasyncError: What `source` raises.
        """
        if kind is Kind.CHUNK and isinstance(self._source, ChunkReads):
            for ident, plain in zip(ids, self._source.plain_chunks(ids), strict=True):
                if plain is None:
                    (answer,) = self._source.get(kind, [ident])
                    yield prove(kind, ident, answer, self._unpacker)
                else:
                    yield plain
            return
        for ident, answer in zip(ids, self._source.get(kind, ids), strict=True):
            yield prove(kind, ident, answer, self._unpacker)

    def plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes]:
        """The plain bytes of each object, in the order asked.

        Raises:
            NoObjectError: An object is missing; or another class, as `missing` says.
            DamagedObjectError: An object is damaged, or does not match its id.
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
        """The plain bytes of each object, in the order asked; None for a lost one.

        Raises:
            CasyncError: What `source` raises.
        """
        for found in self.look(kind, ids):
            yield None if isinstance(found, Lost) else found


def prove(
    kind: Kind, ident: ObjectId, answer: Packed | Absence, unpacker: Unpacker
) -> bytes | Lost:
    """The plain bytes in the answer for one object, or a `Lost`."""
    if isinstance(answer, Absence):
        return Lost(kind, ident, answer)
    try:
        return unpacker.unpack(answer)
    except IntegrityError as error:
        return Lost(kind, ident, Absence.DAMAGED, error.message)


@contextmanager
def unless_removed(ident: ManifestId, source: ManifestSource) -> Iterator[None]:
    """Reads below a full manifest. If that was removed meanwhile, what is missing is no damage.

    Raises:
        NoObjectError: It was removed.
    """
    try:
        yield
    except (DamagedObjectError, NoObjectError) as error:
        row = source.manifest(ident)
        if row is not None and row.state is ManifestState.FULL:
            raise
        message = f"manifest {ident.hex()} was removed while it was read"
        raise NoObjectError(message) from error
