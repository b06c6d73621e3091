"""Push: gives a server what it lacks of a manifest, and has it published there.

The server is asked for everything that the manifest leads to, and gets what it does not have. So a
push that was interrupted goes on where it stopped when it is run again, and several hosts may push
parts of the same. What a push was told to be there stays there until it has ended.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from casync.access.naming import Signer
from casync.access.progress import SILENT, Progress
from casync.errors import (
    DamagedObjectError,
    IncompleteError,
    NotFoundError,
    UsageError,
)
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed
from casync.ops.push.reachable import ALL, ObjectBatch, Part, reachable
from casync.store.base import (
    Absence,
    ManifestRow,
    ManifestSource,
    ManifestState,
    ObjectStat,
    Traffic,
)

__all__ = ["PushOptions", "PushTarget", "Pushed", "plan_push", "push"]

_ROUNDS: Final = 3
"""Times that everything is gone through: a push may end, and a server lose something, meanwhile."""


_REMEMBERED: Final = 1 << 20
"""Missing objects that a plan remembers: 100 MiB. One that repeats after so many counts again."""


class PushTarget(Protocol):
    """A server that takes pushes. Used by several threads at once.

    Whatever asks it raises DeniedError, RemoteError or StoppedError where the server refused or
    failed, and whatever sends or sets something NoSpaceError where it has no room.
    """

    @property
    def origin(self) -> str:
        """What errors call it."""
        ...

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        ...

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """What it says of one manifest."""
        ...

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, or None where it is missing."""
        ...

    def begin_push(self) -> str:
        """Opens a push; returns its id."""
        ...

    def promise(self, push: str, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `stat`; what is there stays for as long as the push is open.

        Raises:
            NotFoundError: The push has ended.
        """
        ...

    def send(self, push: str, objects: Sequence[Packed]) -> list[ObjectId]:
        """Sends objects of one kind, as many as one request takes. They are durable afterwards.

        Returns:
            Those that the server refused: their bytes are not what their ids say.

        Raises:
            NotFoundError: The push has ended.
        """
        ...

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...

    def publish(self, push: str, what: ManifestId | NameUpdate) -> NameRecord | None:
        """Has a manifest listed and served, and named if there is a name, in one step.

        Ends the push.

        Args:
            push: Its id; empty for a manifest that is there without one.
            what: The manifest, or a name that shall point to it.

        Returns:
            The version that the name got.

        Raises:
            IncompleteError: Not all of the manifest is there.
            NotFoundError: The push has ended.
            LostRaceError: Another version is the newest.
        """
        ...

    def close(self) -> None:
        """Ends all connections; whoever waits for an answer gets StoppedError."""
        ...


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push.

    Attributes:
        name: A name to move on to the manifest.
        signer: Signs that, in the same step.
        part: The share of the objects to send; a real share is not published.
        connections: Requests at once.
    """

    name: Name | None = None
    signer: Signer | None = None
    part: Part = ALL
    connections: int = 4


class Pushed(NamedTuple):
    """What was pushed, or in a plan would be; sizes in bytes.

    Attributes:
        manifest: The manifest.
        length: Plain bytes of its content; of a folder those of its own entry.
        objects: Objects that the server was asked for.
        new: Objects that it got.
        payload: Their bytes as they travelled.
        published: Whether the manifest is listed there now.
        name: The version that the name got.
        traffic: Everything that went over the wire.
        seconds: How long it took.
    """

    manifest: ManifestId
    length: int
    objects: int
    new: int
    payload: int
    published: bool
    name: NameRecord | None
    traffic: Traffic
    seconds: float


class _Count:
    """What was looked at and sent so far; kept by the thread that starts the others."""

    def __init__(self) -> None:
        self.objects = 0
        self.new = 0
        self.payload = 0


def push(
    ref: Ref,
    source: ManifestSource,
    target: PushTarget,
    options: PushOptions = PushOptions(),
    progress: Progress = SILENT,
) -> Pushed:
    """Pushes what `ref` names.

    Args:
        ref: A manifest that is wholly in `source`.
        source: A store of this machine.
        target: The server.
        options: How.
        progress: Is told what happens.

    Raises:
        UsageError: A part was to get a name.
        NoNameError: Nothing is so called here.
        DamagedObjectError: Something cannot be read here, or is not what its id says.
        IncompleteError: The server loses what it gets.
        NoSpaceError: The server has no room.
        DeniedError, RemoteError, StoppedError: It refused or failed.
    """
    started = time.monotonic()
    if options.part.shares > 1 and options.name is not None:
        raise UsageError(
            "a part of a push sets no name", next_step="Push the whole with the name afterwards."
        )
    ident = source.resolve(ref)
    row = source.manifest(ident)
    length = row.length if row is not None else 0
    count = _Count()
    publishes = options.part.shares == 1
    record: NameRecord | None = None
    if not _is_whole(target, ident):
        sending = _Sending(source, target, options, progress)
        try:
            record = sending.run(ident, length, count, publishes=publishes)
        except BaseException:
            target.close()  # wakes the threads that wait for it
            raise
        finally:
            sending.close()
    elif options.name is not None:
        record = _publish(target, "", ident, options)
    return Pushed(
        manifest=ident,
        length=length,
        objects=count.objects,
        new=count.new,
        payload=count.payload,
        published=publishes,
        name=record,
        traffic=target.traffic,
        seconds=time.monotonic() - started,
    )


def plan_push(
    ref: Ref,
    source: ManifestSource,
    target: PushTarget,
    options: PushOptions = PushOptions(),
    progress: Progress = SILENT,
) -> Pushed:
    """What `push` with the same arguments would send. Asks the server, and changes nothing.

    Raises:
        CasyncError: As `push`.
    """
    started = time.monotonic()
    ident = source.resolve(ref)
    row = source.manifest(ident)
    length = row.length if row is not None else 0
    count = _Count()
    if not _is_whole(target, ident):
        progress.start("comparing", length)
        lacking: set[ObjectId] = set()  # each is sent once, however often it is listed
        for batch in reachable(ident, source, options.part):
            there = target.stat(batch.kind, batch.ids)
            absent = [i for i, stat in zip(batch.ids, there, strict=True) if stat is None]
            fresh = [each for each in absent if each not in lacking]
            if len(lacking) < _REMEMBERED:
                lacking.update(fresh)
            count.objects += len(batch.ids)
            count.new += len(fresh)
            count.payload += sum(s.stored for s in source.stat(batch.kind, fresh) if s is not None)
            progress.advance(batch.length)
    seconds = time.monotonic() - started
    traffic = target.traffic
    return Pushed(
        ident, length, count.objects, count.new, count.payload, False, None, traffic, seconds
    )


def _is_whole(target: PushTarget, ident: ManifestId) -> bool:
    row = target.manifest(ident)
    return row is not None and row.state is ManifestState.FULL


def _publish(
    target: PushTarget, session: str, ident: ManifestId, options: PushOptions
) -> NameRecord | None:
    if options.name is None:
        return target.publish(session, ident)
    if options.signer is None:
        return target.publish(session, NameUpdate(options.name, ident))
    return target.publish(session, options.signer(target, options.name, ident))


class _Sending:
    """Sends batches from several threads."""

    def __init__(
        self, source: ManifestSource, target: PushTarget, options: PushOptions, progress: Progress
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._executor = ThreadPoolExecutor(options.connections, thread_name_prefix="push")

    def close(self) -> None:
        """Ends the threads; what did not begin is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(
        self, ident: ManifestId, length: int, count: _Count, *, publishes: bool
    ) -> NameRecord | None:
        """Sends what is missing, until the server has all of it."""
        failure: NotFoundError | None = None
        for _ in range(_ROUNDS):
            self._progress.start("sending", length if publishes else None)
            try:
                session = self._target.begin_push()
                new = count.new
                self._send_all(session, ident, count)
                if not publishes:
                    return None
                return _publish(self._target, session, ident, self._options)
            except IncompleteError as error:
                if failure is not None and new == count.new:
                    raise  # it says that it has what it says is missing
                failure = error
            except NotFoundError as error:  # the push was silent for too long
                failure = error
        assert failure is not None
        raise failure

    def _send_all(self, session: str, ident: ManifestId, count: _Count) -> None:
        waiting: deque[Future[tuple[ObjectBatch, int, int]]] = deque()
        for batch in reachable(ident, self._source, self._options.part):
            waiting.append(self._executor.submit(self._settle, session, batch))
            if len(waiting) > 2 * self._options.connections:
                self._collect(waiting, count)
        while waiting:
            self._collect(waiting, count)

    def _collect(self, waiting: deque[Future[tuple[ObjectBatch, int, int]]], count: _Count) -> None:
        batch, new, payload = waiting.popleft().result()
        count.objects += len(batch.ids)
        count.new += new
        count.payload += payload
        self._progress.advance(batch.length)

    def _settle(self, session: str, batch: ObjectBatch) -> tuple[ObjectBatch, int, int]:
        """Has the server have a batch; how many objects it got, and their bytes."""
        stats = self._target.promise(session, batch.kind, batch.ids)
        lacking = [ident for ident, stat in zip(batch.ids, stats, strict=True) if stat is None]
        if not lacking:
            return batch, 0, 0
        objects: list[Packed] = []
        for ident, answer in zip(lacking, self._source.get(batch.kind, lacking), strict=True):
            if isinstance(answer, Absence):
                raise _unreadable(batch.kind, ident, answer.value)
            objects.append(answer)
        refused = self._target.send(session, objects)
        if refused:
            raise _unreadable(batch.kind, refused[0], "not what its id says")
        return batch, len(objects), sum(len(packed.payload) for packed in objects)


def _unreadable(kind: Kind, ident: ObjectId, why: str) -> DamagedObjectError:
    return DamagedObjectError(
        f"{kind.name.lower()} {ident.hex()} is {why}", next_step="`casync verify` finds all of it."
    )
