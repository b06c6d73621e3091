"""The supply that travels: chunks of servers, as deltas against old versions where that pays.

Each server is asked for what those before it could not give. Whatever comes is proved here; a
delta that does not hold what it should is the server's fault, and its chunks are asked for again
as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from casync.codec import Packed
from casync.delta import Delta, Group, unpack_group
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    NoObjectError,
    StoppedError,
    UnreachableError,
)
from casync.groups import chunk_groups
from casync.ids import Buffer, ChunkId, Kind
from casync.layout import Layout
from casync.limits import MIB
from casync.ops.ports import Server
from casync.ops.supply import Proved, Unpackers, Wanted
from casync.plan import Place, Window
from casync.store.base import Absence, ObjectStat

__all__ = ["FRAME_HEADER_BYTES", "DeltaChoice", "OldVersions", "ServerSupply", "asks_deltas"]

FRAME_HEADER_BYTES: Final = 8
"""What a frame adds to each object on the wire."""

_ASKED_BYTES: Final = 16 * MIB
"""Plain bytes of one request for deltas, bases included: in memory until it is answered."""

_BUSY_ROUNDS: Final = 5
_BUSY_SECONDS: Final = 0.5

DeltaChoice: TypeAlias = Literal["auto", "always", "never"]
"""Whether to ask for deltas; `auto` where the link is so slow that they pay."""


def asks_deltas(choice: DeltaChoice, server: Server) -> bool:
    """Whether `server` shall be asked for deltas just now."""
    return choice == "always" or (choice == "auto" and server.deltas_pay)


class OldVersions(Protocol):
    """Old bytes at hand.

    Attributes:
        layout: Which chunk lies where, and next to which.
    """

    layout: Layout

    def read(self, numbers: Iterable[int]) -> Iterator[tuple[Place, Buffer | None]]:
        """Chunks of the layout, in order, or None where they are no more."""
        ...


class _Asked(NamedTuple):
    """A group under way: the lengths of what it wants, and its bases."""

    lengths: Mapping[ChunkId, int]
    bases: Sequence[tuple[ChunkId, Buffer]] = ()

    @property
    def group(self) -> Group:
        return Group(list(self.lengths), [ident for ident, _ in self.bases])

    @property
    def size(self) -> int:
        return sum(self.lengths.values()) + sum(len(plain) for _, plain in self.bases)


class ServerSupply:
    """Chunks of servers.

    Args:
        servers: The servers.
        old: Where bases of deltas come from.
        delta: Whether to ask for deltas.
    """

    label = "server"
    is_store = False
    travels = True
    looked: Sequence[tuple[Path, str]] = ()

    def __init__(
        self, servers: Sequence[Server], old: OldVersions, delta: DeltaChoice = "auto"
    ) -> None:
        self._servers = servers
        self._old = old
        self._delta = delta
        self._liars: set[str] = set()  # whose deltas were wrong
        self._stopped = threading.Event()
        self._local = Unpackers()
        self._turn = 0
        self._down: set[str] = set()

    def supply(self, wanted: Wanted, window: Window) -> Iterator[Proved]:
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
                    for ident, answer in self._ask(server, rest, window):
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
        self, server: Server, rest: Wanted, window: Window
    ) -> Iterator[tuple[ChunkId, Proved | Absence]]:
        asks = asks_deltas(self._delta, server) and server.origin not in self._liars
        if not asks:
            yield from self._receive(server, _one_by_one(rest))
            return
        batch: list[_Asked] = []
        size = 0
        for asked in self._groups(rest, window):
            if batch and size + asked.size > _ASKED_BYTES:
                yield from self._receive(server, batch)
                batch, size = [], 0
            batch.append(asked)
            size += asked.size
        yield from self._receive(server, batch)

    def _groups(self, rest: Wanted, window: Window) -> Iterator[_Asked]:
        """All of `rest`, with the bases that are still what they were."""
        others = dict(rest)
        for group in chunk_groups(window, rest, self._old.layout):
            lengths = {place.id: others.pop(place.id) for place in group.wanted}
            found = self._old.read(group.bases)
            yield _Asked(lengths, [(place.id, plain) for place, plain in found if plain])
        yield from _one_by_one(others)

    def _receive(
        self, server: Server, batch: Sequence[_Asked]
    ) -> Iterator[tuple[ChunkId, Proved | Absence]]:
        """Makes a request and proves what comes.

        Raises:
            IntegrityError: Some of it is not what was asked for. It comes last.
        """
        unpacker = self._local.get()
        corrupt: IntegrityError | None = None
        waiting = {ident: asked for asked in batch for ident in asked.lengths}
        ids = iter(list(waiting))
        lost: dict[ChunkId, int] = {}
        for answer in server.get_groups(Kind.CHUNK, [asked.group for asked in batch]):
            if self._stopped.is_set():
                raise StoppedError("stopped")
            ident = next(ids)
            asked = waiting.pop(ident)
            if isinstance(answer, Delta):
                for _ in range(len(asked.lengths) - 1):
                    del waiting[next(ids)]
                proved = _undo(answer, asked)
                yield from proved.items()
                lost.update((i, n) for i, n in asked.lengths.items() if i not in proved)
                continue
            if not isinstance(answer, Packed):
                yield ident, answer
                continue
            try:
                if answer.length != asked.lengths[ident]:
                    raise DamagedObjectError(
                        f"chunk {ident.hex()} of {answer.length} bytes, not {asked.lengths[ident]}"
                    )
                verified, plain = unpacker.verify(answer)
            except IntegrityError as error:
                corrupt = error
                continue
            yield ident, Proved(ident, plain, verified)
        if lost:
            self._liars.add(server.origin)
            yield from self._receive(server, _one_by_one(lost))
        if corrupt is not None:
            raise corrupt


def _one_by_one(wanted: Wanted) -> list[_Asked]:
    return [_Asked({ident: length}) for ident, length in wanted.items()]


def _undo(delta: Delta, asked: _Asked) -> dict[ChunkId, Proved]:
    """The chunks of a delta that are what they should be."""
    try:
        plains = unpack_group(
            delta, [plain for _, plain in asked.bases], list(asked.lengths.values())
        )
    except IntegrityError:
        return {}
    return {ChunkId(ident): Proved(ChunkId(ident), plain, None) for ident, plain in plains}
