"""Supplies: the sources of chunks that a plan wants, cheapest first.

A supply yields only proved chunks: bytes that this process hashed, in the same buffer that will be
written. The next supply provides what one lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from casync.errors import CasyncError, NoObjectError
from casync.ids import Buffer, ChunkId, Kind
from casync.objects.codec import Packed, Unpacker
from casync.planning.delta_groups import MissingRun
from casync.store.base import Absence, ObjectSource
from casync.store.proved import HERE, NO_SOURCE_STEP, damaged_at

__all__ = [
    "Proved",
    "StoreSupply",
    "Supply",
    "Wanted",
    "chunk_fault",
    "proved",
]

_READ_IDS: Final = 128
"""Chunks that are read from a store and decoded together."""


class Proved(NamedTuple):
    """A chunk whose bytes match its id, and the payload they were decoded from, if there is one."""

    id: ChunkId
    plain: Buffer
    packed: Packed | None = None

    def to_keep(self) -> Proved:
        """What a store needs of it: the payload alone, if there is one."""
        return self if self.packed is None else Proved(self.id, b"", self.packed)


Wanted = Mapping[ChunkId, int]
"""The chunks to supply, with their lengths in bytes."""


class Supply(Protocol):
    """One source of chunks. Used by several threads at once.

    Attributes:
        label: Its name in messages.
        is_store: Whether it is the local store, whose chunks need not be stored again.
        travels: Whether its chunks come over a network.
    """

    label: str
    is_store: bool
    travels: bool

    def supply(self, wanted: Wanted, runs: Sequence[MissingRun]) -> Iterator[Sequence[Proved]]:
        """Yields the chunks of `wanted` that it has, in any order. Those of `runs` are among them.

        Chunks come in lists as they were read or received: they are small, and a Python step for
        each would cost more than its bytes.
        """
        ...

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """The chunks of `wanted` that it has, with the bytes that would travel for each."""
        ...

    def damaged(self, ident: ChunkId) -> Sequence[str]:
        """Where this supply found a chunk damaged, as in `Endpoints`; empty if it did not."""
        ...

    def stop(self) -> None:
        """Wakes threads that wait for it; they get StoppedError."""
        ...


class StoreSupply:
    """Chunks of a local store."""

    label = "local store"
    is_store = True
    travels = False

    def __init__(self, store: ObjectSource) -> None:
        self._store = store
        self._unpacker = Unpacker()

    def supply(self, wanted: Wanted, runs: Sequence[MissingRun]) -> Iterator[Sequence[Proved]]:
        """Yields the chunks that the store has, without damaged ones."""
        ids = list(wanted)
        for start in range(0, len(ids), _READ_IDS):
            found = [
                answer
                for answer in self._store.get(Kind.CHUNK, ids[start : start + _READ_IDS])
                if isinstance(answer, Packed) and answer.length == wanted[ChunkId(answer.id)]
            ]
            yield proved(found, self._unpacker)

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """The chunks that the store has; nothing travels."""
        stats = self._store.stat(Kind.CHUNK, list(wanted))
        return {ident: 0 for ident, stat in zip(wanted, stats, strict=True) if stat is not None}

    def damaged(self, ident: ChunkId) -> Sequence[str]:
        """The store, if its copy of a chunk is damaged."""
        (answer,) = self._store.get(Kind.CHUNK, [ident])
        is_good = isinstance(answer, Packed) and proved([answer], self._unpacker)
        return () if is_good or answer is Absence.MISSING else (HERE,)

    def stop(self) -> None:
        """Does nothing: reads from a disk are short."""


def chunk_fault(ident: ChunkId, part: str, supplies: Sequence[Supply]) -> CasyncError:
    """The error for a chunk that no supply has, or that is damaged wherever it is.

    Args:
        ident: The chunk.
        part: The part of the content that it is, for people; may be empty.
        supplies: All supplies, which were asked for it.
    """
    label = f"chunk {ident.hex()}" + (f" ({part})" if part else "")
    places = [place for supply in supplies for place in supply.damaged(ident)]
    if places:
        return damaged_at(label, places)
    return NoObjectError(f"no source has {label}", next_step=NO_SOURCE_STEP)


def proved(objects: Sequence[Packed], unpacker: Unpacker) -> list[Proved]:
    """The chunks of `objects` whose bytes match their ids."""
    plains = unpacker.unpack_chunks(objects)
    return [
        Proved(ChunkId(packed.id), plain, packed)
        for packed, plain in zip(objects, plains, strict=True)
        if plain is not None
    ]
