"""Supplies: where a pull takes chunks from, cheapest first.

A supply hands out proved chunks only: bytes that were hashed in this process, in the very buffer
that will be written. What it cannot give is left for the next supply.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from casync.fs.seed import SeedIndex
from casync.ids import Buffer, ChunkId, Kind
from casync.objects.codec import Packed, Unpacker
from casync.planning.windows import Window
from casync.store.base import ObjectSource

__all__ = ["Proved", "SeedSupply", "StoreSupply", "Supply", "Unpackers", "Wanted", "proved"]

_READ_IDS: Final = 128
"""Chunks that are read from a store before they are decoded together."""


class Proved(NamedTuple):
    """A chunk whose bytes were compared with its id, and what they were decoded from, if known."""

    id: ChunkId
    plain: Buffer
    packed: Packed | None = None


Wanted = Mapping[ChunkId, int]
"""Chunks to be had, with their lengths."""


class Supply(Protocol):
    """One place that chunks come from. Used by several threads at once.

    Attributes:
        label: What people call it.
        is_store: It is the local store, which need not be given its own chunks.
        travels: Its chunks come over a network.
    """

    label: str
    is_store: bool
    travels: bool

    @property
    def looked(self) -> Sequence[tuple[Path, str]]:
        """Files that were looked at, and what was seen there."""
        ...

    def supply(self, wanted: Wanted, window: Window) -> Iterator[Sequence[Proved]]:
        """Yields those of `wanted` that it has, in any order. All are places of `window`.

        They come together as they were read or received: chunks are small, and a step through
        all that handles them costs more than their bytes.
        """
        ...

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """Those of `wanted` that it has, with the bytes that would travel for each."""
        ...

    def stop(self) -> None:
        """Wakes whoever waits for it; they get StoppedError."""
        ...


class StoreSupply:
    """Chunks of a local store."""

    label = "local store"
    is_store = True
    travels = False
    looked: Sequence[tuple[Path, str]] = ()

    def __init__(self, store: ObjectSource) -> None:
        self._store = store
        self._local = Unpackers()

    def supply(self, wanted: Wanted, window: Window) -> Iterator[Sequence[Proved]]:
        """What the store has. Damaged chunks are left to others."""
        ids = list(wanted)
        for start in range(0, len(ids), _READ_IDS):
            found = [
                answer
                for answer in self._store.get(Kind.CHUNK, ids[start : start + _READ_IDS])
                if isinstance(answer, Packed) and answer.length == wanted[ChunkId(answer.id)]
            ]
            yield proved(found, self._local.get())

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """What the store has; nothing travels."""
        stats = self._store.stat(Kind.CHUNK, list(wanted))
        return {ident: 0 for ident, stat in zip(wanted, stats, strict=True) if stat is not None}

    def stop(self) -> None:
        """Nobody waits for a disk for long."""


class SeedSupply:
    """Chunks of local files."""

    label = "seed"
    is_store = False
    travels = False

    def __init__(self, index: SeedIndex) -> None:
        self._index = index

    def supply(self, wanted: Wanted, window: Window) -> Iterator[Sequence[Proved]]:
        """What the seeds still have where they once had it."""
        numbers = (self._index.index.find(ident) for ident in wanted)
        for found in self._index.read(number for number in numbers if number is not None):
            yield [
                Proved(place.id, plain)
                for place, plain in found
                if plain is not None and place.length == wanted[place.id]
            ]

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """What the index names."""
        return {ident: 0 for ident in wanted if self._index.index.find(ident) is not None}

    @property
    def looked(self) -> Sequence[tuple[Path, str]]:
        """The files of the index, and those that did not get into it."""
        return self._index.looked

    def stop(self) -> None:
        """Nobody waits for a disk for long."""


def proved(objects: Sequence[Packed], unpacker: Unpacker) -> list[Proved]:
    """The chunks of `objects` that are what their ids name."""
    plains = unpacker.unpack_chunks(objects)
    return [
        Proved(ChunkId(packed.id), plain, packed)
        for packed, plain in zip(objects, plains, strict=True)
        if plain is not None
    ]


class Unpackers(threading.local):
    """One `Unpacker` a thread."""

    def __init__(self) -> None:
        self._unpacker = Unpacker()

    def get(self) -> Unpacker:
        """The one of the calling thread."""
        return self._unpacker
