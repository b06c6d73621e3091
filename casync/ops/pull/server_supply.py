"""The supply of chunks from servers, as deltas against old versions where that pays.

Each server is asked for the chunks that the previous ones lack. All answers are proved here. If a
delta decodes to wrong chunks, that is the server's fault, and these are requested again without
deltas.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from casync.access.endpoints import place_of
from casync.access.supply import Proved, Wanted, proved
from casync.errors import (
    CasyncError,
    IntegrityError,
    StoppedError,
    UnreachableError,
)
from casync.ids import Buffer, ChunkId, Kind, ObjectId
from casync.limits import MIB
from casync.objects.codec import Packed, Unpacker
from casync.objects.delta import Delta, Group, Singles, unpack_group
from casync.planning.delta_groups import MissingRun, chunk_groups
from casync.store.base import Absence, ObjectStat
from casync.store.server import Server

__all__ = ["FRAME_HEADER_BYTES", "DeltaChoice", "OldVersions", "ServerSupply", "asks_deltas"]

FRAME_HEADER_BYTES: Final = 8
"""Bytes that a frame adds to each object on the wire."""

_ASKED_BYTES: Final = 16 * MIB
"""Plain bytes of one request for deltas, including bases, which are held until it is answered."""

_BUSY_ROUNDS: Final = 5
_BUSY_SECONDS: Final = 0.5

DeltaChoice: TypeAlias = Literal["auto", "always", "never"]
"""Whether to request deltas; `auto` does if the link is so slow that they pay."""


def asks_deltas(choice: DeltaChoice, server: Server) -> bool:
    """Whether to request deltas from `server` now."""
    return choice == "always" or (choice == "auto" and server.deltas_pay)


class OldVersions(Protocol):
    """Local chunks of old versions."""

    def bases(self, ranges: Iterable[tuple[int, int, int]]) -> list[tuple[ChunkId, Buffer]]:
        """The chunks that overlap ranges of seeds, each as (seed, start, end), if unchanged."""
        ...


class _Come(NamedTuple):
    """Answers that arrived together: proved chunks, and the ids of others with the reason."""

    chunks: list[Proved]
    absent: list[tuple[ChunkId, Absence]]


class _Request:
    """One request, and the checks of its answers.

    Args:
        singly: Chunks to request without deltas, with their lengths.

    Attributes:
        size: Plain bytes of all wanted chunks and bases.
        lost: Chunks whose delta decoded to other bytes, with their lengths.
        wrong: Ids of chunks that were sent whole, with other bytes.
    """

    def __init__(self, singly: Wanted | None = None) -> None:
        self._lengths = dict[ObjectId, int]((singly or {}).items())
        # By the last chunk of a group: a retry of a group may start after its first chunks.
        self._bases: dict[ObjectId, Sequence[Buffer]] = {}
        self._open = iter(self._lengths)
        self._groups: list[Group] = []
        self.size = sum(self._lengths.values())
        self.lost: dict[ChunkId, int] = {}
        self.wrong: list[ObjectId] = []

    @property
    def groups(self) -> Sequence[Group]:
        """The groups to request."""
        return self._groups or Singles(list(self._lengths))

    def add(self, lengths: Wanted, bases: Sequence[tuple[ChunkId, Buffer]]) -> None:
        """Adds a group of chunks with its bases."""
        group = Group(list(lengths), [ident for ident, _ in bases])
        self._groups.append(group)
        self.size += _plain_bytes(lengths, bases)
        self._lengths.update(lengths.items())
        self._open = iter(self._lengths)
        self._bases[group.wanted[-1]] = [plain for _, plain in bases]

    def take(self, answers: Sequence[Packed | Delta | Absence], unpacker: Unpacker) -> _Come:
        """Proves the next answers."""
        come = _Come([], [])
        packed: list[Packed] = []
        for answer, ident in zip(answers, self._open, strict=False):
            if isinstance(answer, Packed):
                packed.append(answer)
            elif isinstance(answer, Delta):
                come.chunks.extend(self._undo(answer))
                for _ in answer.ids[1:]:
                    next(self._open)
            else:
                come.absent.append((ChunkId(ident), answer))
        fitting = [answer for answer in packed if answer.length == self._lengths[answer.id]]
        good = proved(fitting, unpacker)
        come.chunks.extend(good)
        if len(good) < len(packed):
            right = {chunk.id for chunk in good}
            self.wrong += [answer.id for answer in packed if answer.id not in right]
        return come

    def _undo(self, delta: Delta) -> list[Proved]:
        """The chunks of a delta that match their ids."""
        lengths = [self._lengths[ident] for ident in delta.ids]
        found: list[tuple[ObjectId, bytes]] = []
        with suppress(IntegrityError):
            found = unpack_group(delta, self._bases[delta.ids[-1]], lengths)
        right = {ident for ident, _ in found}
        for ident, length in zip(delta.ids, lengths, strict=True):
            if ident not in right:
                self.lost[ChunkId(ident)] = length
        return [Proved(ChunkId(ident), plain) for ident, plain in found]


def _plain_bytes(lengths: Wanted, bases: Sequence[tuple[ChunkId, Buffer]]) -> int:
    return sum(lengths.values()) + sum(len(plain) for _, plain in bases)


class ServerSupply:
    """Chunks of servers.

    Args:
        servers: The servers.
        old: Have the bases of deltas.
        delta: Whether to request deltas.
    """

    label = "server"
    is_store = False
    travels = True

    def __init__(
        self, servers: Sequence[Server], old: OldVersions, delta: DeltaChoice = "auto"
    ) -> None:
        self._servers = servers
        self._old = old
        self._delta = delta
        self._bad_origins: set[str] = set()  # origins that sent wrong deltas
        self._stopped = threading.Event()
        self._unpacker = Unpacker()
        self._turn = 0
        self._damaged: dict[ChunkId, list[str]] = {}
        self._down: set[str] = set()

    def supply(self, wanted: Wanted, runs: Sequence[MissingRun]) -> Iterator[Sequence[Proved]]:
        """Yields the chunks that servers have whole.

        Raises:
            RemoteError: Requests to servers failed, and the others do not have everything.
            IntegrityError: An answer is malformed, and the others do not have everything.
        """
        rest = dict(wanted)
        failure: CasyncError | None = None
        for round_number in range(_BUSY_ROUNDS):
            busy = False
            for server in self._order():
                if not rest:
                    return
                try:
                    for come, absent in self._ask(server, rest, runs):
                        for chunk in come:
                            del rest[chunk.id]
                        yield come
                        for ident, absence in absent:
                            if absence is Absence.BUSY:
                                busy = True
                                failure = UnreachableError(f"{server.origin} is too busy")
                            elif absence is Absence.DAMAGED:
                                self._damaged.setdefault(ident, []).append(place_of(server))
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
        if rest and failure is not None:
            raise failure

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        """The chunks that the servers have, with the bytes of their frames.

        Raises:
            RemoteError: A server failed, and the others do not have everything.
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

    def damaged(self, ident: ChunkId) -> Sequence[str]:
        """The servers that reported a chunk damaged, or sent other bytes."""
        return self._damaged.get(ident, ())

    def stop(self) -> None:
        """Stops waiting for busy servers, and closes all connections."""
        self._stopped.set()
        for server in self._servers:
            server.close()

    def _order(self) -> list[Server]:
        """The servers, rotated with each call; those that were unreachable come last."""
        self._turn += 1
        turn = self._turn % max(len(self._servers), 1)
        turned = [*self._servers[turn:], *self._servers[:turn]]
        return sorted(turned, key=lambda server: server.origin in self._down)

    def _ask(self, server: Server, rest: Wanted, runs: Sequence[MissingRun]) -> Iterator[_Come]:
        others = dict(rest)
        request = _Request()
        for group in chunk_groups(runs, rest) if self._asks_deltas(server) else ():
            lengths = {place.id: others[place.id] for place in group.wanted}
            bases = self._old.bases(group.bases)
            if request.groups and request.size + _plain_bytes(lengths, bases) > _ASKED_BYTES:
                yield from self._receive(server, request)
                request = _Request()
                if not self._asks_deltas(server):
                    break
            request.add(lengths, bases)
            for ident in lengths:
                del others[ident]
        if request.groups:
            yield from self._receive(server, request)
        if others:
            yield from self._receive(server, _Request(others))

    def _asks_deltas(self, server: Server) -> bool:
        return asks_deltas(self._delta, server) and server.origin not in self._bad_origins

    def _receive(self, server: Server, request: _Request) -> Iterator[_Come]:
        """Makes a request and proves the answers. Chunks with other bytes are damaged there."""
        for answers in server.get_groups(Kind.CHUNK, request.groups):
            if self._stopped.is_set():
                raise StoppedError("stopped")
            yield request.take(answers, self._unpacker)
        if request.lost:
            self._bad_origins.add(server.origin)
            yield from self._receive(server, _Request(request.lost))
        if request.wrong:
            yield _Come([], [(ChunkId(ident), Absence.DAMAGED) for ident in request.wrong])
