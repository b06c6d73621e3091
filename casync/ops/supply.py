"""Supplies: where a pull takes chunks from, cheapest first.

A supply hands out proved chunks only: bytes that were hashed in this process, in the very buffer
that will be written. What it cannot give is left for the next supply.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from casync.codec import Packed, Unpacker, Verified
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    NoObjectError,
    StoppedError,
    UnreachableError,
)
from casync.fs.seed import SeedFile, SeedIndex
from casync.ids import Buffer, ChunkId, Kind
from casync.neighbours import read_places
from casync.ops.ports import Server
from casync.plan import Place
from casync.store.base import Absence, ObjectSource, ObjectStat

__all__ = [
    "FRAME_HEADER_BYTES",
    "Proved",
    "SeedSupply",
    "ServerSupply",
    "StoreSupply",
    "Supply",
    "Wanted",
]

FRAME_HEADER_BYTES: Final = 8
"""What a frame adds to each object on the wire."""

_BUSY_ROUNDS: Final = 5
_BUSY_SECONDS: Final = 0.5


class Proved(NamedTuple):
    """A chunk whose bytes were compared with its id, and its packed form if that came along."""

    id: ChunkId
    plain: Buffer
    packed: Verified | None


Wanted = Mapping[ChunkId, int]
"""Chunks to be had, with their lengths."""


class Supply(Protocol):
    """One place that chunks come from. Used by several threads at once.

    Attributes:
        label: What people call it.
        is_store: It is the local store, which need not be given its own chunks.
    """

    label: str
    is_store: bool

    @property
    def looked(self) -> Sequence[tuple[Path, str]]:
        """Files that were looked at, and what was seen there."""
        ...

    def supply(self, wanted: Wanted) -> Iterator[Proved]:
        """Yields those of `wanted` that it has, in any order."""
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
    looked: Sequence[tuple[Path, str]] = ()

    def __init__(self, store: ObjectSource) -> None:
        self._store = store
        self._local = _Unpackers()

    def supply(self, wanted: Wanted) -> Iterator[Proved]:
        """What the store has. Damaged chunks are left to others."""
        ids = list(wanted)
        for ident, answer in zip(ids, self._store.get(Kind.CHUNK, ids), strict=True):
            if isinstance(answer, Packed) and answer.length == wanted[ident]:
                try:
                    verified, plain = self._local.get().verify(answer)
                except IntegrityError:
                    continue
                yield Proved(ident, plain, verified)

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

    def __init__(self, index: SeedIndex) -> None:
        self._index = index

    def supply(self, wanted: Wanted) -> Iterator[Proved]:
        """What the seeds still have where they once had it."""
        for seed, places in groupby(self._places(wanted), key=itemgetter(0)):
            for place, plain in read_places(partial(_read, seed), (place for _, place in places)):
                if plain is not None:
                    yield Proved(place.id, plain, None)

    def _places(self, wanted: Wanted) -> Iterator[tuple[SeedFile, Place]]:
        """Where chunks may lie, in the order wanted: runs of them mostly stay together."""
        for ident, length in wanted.items():
            found = self._index.find(ident)
            if found is not None:
                yield found[0], Place(found[1], ident, length)

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """What the index names."""
        return {ident: 0 for ident in wanted if self._index.find(ident) is not None}

    @property
    def looked(self) -> Sequence[tuple[Path, str]]:
        """The files of the index, and those that did not get into it."""
        return self._index.looked

    def stop(self) -> None:
        """Nobody waits for a disk for long."""


def _read(seed: SeedFile, offset: int, length: int) -> bytes:
    """What can be read; what cannot is nothing that a seed has."""
    try:
        return seed.read(offset, length)
    except OSError:
        return b""


class ServerSupply:
    """Chunks of servers: each is asked for what those before it could not give.

    Args:
        servers: The servers.
    """

    label = "server"
    is_store = False
    looked: Sequence[tuple[Path, str]] = ()

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._stopped = threading.Event()
        self._local = _Unpackers()
        self._turn = 0
        self._down: set[str] = set()

    def supply(self, wanted: Wanted) -> Iterator[Proved]:
        """Everything, or an error.

        Raises:
            NoObjectError: No server has a chunk.
            IntegrityError: Those that have it send something else.
            RemoteError: Servers could not be asked.
        """
        rest = dict(wanted)
        failure: CasyncError | None = None
        for round_number in range(_BUSY_ROUNDS):
            busy = False
            for server in self._order():
                if not rest:
                    return
                try:
                    for ident, answer in self._ask(server, rest):
                        if isinstance(answer, Proved):
                            del rest[ident]
                            yield answer
                        elif answer is Absence.BUSY:
                            busy = True
                            failure = UnreachableError(f"{server.origin} is too busy")
                        elif answer is Absence.DAMAGED:
                            failure = DamagedObjectError(
                                f"chunk {ident.hex()} is damaged on {server.origin}"
                            )
                except UnreachableError as error:
                    self._down.add(server.origin)
                    failure = error
                except IntegrityError as error:
                    failure = type(error)(f"{server.origin} sent bad bytes: {error.message}")
                except CasyncError as error:
                    failure = error
            if not rest or not busy:
                break
            self._stopped.wait(_BUSY_SECONDS * 2**round_number)
        if rest:
            missing = next(iter(rest))
            raise failure or NoObjectError(f"chunk {missing.hex()} is on no server")

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """What the servers have, with the bytes of their frames.

        Raises:
            RemoteError: A server could not be asked, and the others do not have everything.
        """
        found: dict[ChunkId, int] = {}
        failure: CasyncError | None = None
        for server in self._servers:
            rest = [ident for ident in wanted if ident not in found]
            stats: list[ObjectStat | None] = []
            try:
                stats = server.stat(Kind.CHUNK, rest) if rest else []
            except CasyncError as error:
                failure = error
            for ident, stat in zip(rest, stats, strict=False):
                if stat is not None:
                    found[ident] = stat.stored + FRAME_HEADER_BYTES
        if failure is not None and len(found) < len(wanted):
            raise failure
        return found

    def stop(self) -> None:
        """Ends the waiting for busy servers, and all answers in flight."""
        self._stopped.set()
        for server in self._servers:
            server.close()

    def _order(self) -> list[Server]:
        """Another server first each time; those that did not answer come last."""
        self._turn += 1
        turn = self._turn % max(len(self._servers), 1)
        turned = [*self._servers[turn:], *self._servers[:turn]]
        return sorted(turned, key=lambda server: server.origin in self._down)

    def _ask(
        self, server: ObjectSource, rest: Wanted
    ) -> Iterator[tuple[ChunkId, Proved | Absence]]:
        ids = list(rest)
        unpacker = self._local.get()
        corrupt: IntegrityError | None = None
        for ident, answer in zip(ids, server.get(Kind.CHUNK, ids), strict=True):
            if self._stopped.is_set():
                raise StoppedError("stopped")
            if not isinstance(answer, Packed):
                yield ident, answer
                continue
            try:
                if answer.length != rest[ident]:
                    raise DamagedObjectError(
                        f"chunk {ident.hex()} of {answer.length} bytes, not {rest[ident]}"
                    )
                verified, plain = unpacker.verify(answer)
            except IntegrityError as error:
                corrupt = error
                continue
            yield ident, Proved(ident, plain, verified)
        if corrupt is not None:
            raise corrupt


class _Unpackers(threading.local):
    """One `Unpacker` a thread."""

    def __init__(self) -> None:
        self._unpacker = Unpacker()

    def get(self) -> Unpacker:
        return self._unpacker
