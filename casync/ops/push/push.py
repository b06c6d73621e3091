"""Pushes a manifest: sends the objects that a server lacks, and publishes the manifest there.

A push asks the server about every object below the manifest, and sends the missing ones. So
running it again resumes an interrupted push, and several hosts can push parts of one manifest. The
server keeps the objects that it reported as present until the push ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from casync.access.naming import Signer
from casync.access.progress import SILENT, Progress
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IncompleteError,
    NoSpaceError,
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
from casync.store.proved import Lost, unless_removed

__all__ = ["PushOptions", "PushTarget", "Pushed", "plan_push", "push"]

_ROUNDS: Final = 3
"""Rounds over all objects: a push may end early, and a server may lose objects, meanwhile."""


_REMEMBERED: Final = 1 << 20
"""Missing objects that a plan remembers: 100 MiB. Later repeats are counted again."""


class PushTarget(Protocol):
    """A server that takes pushes. Used by several threads at once.

    All methods raise DeniedError, RemoteError or StoppedError if the server refuses or fails.
    Methods that send or set something also raise NoSpaceError if it has no room.
    """

    @property
    def origin(self) -> str:
        """Its address in error messages."""
        ...

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        ...

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """The server's row of one manifest."""
        ...

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, None for a missing one."""
        ...

    def begin_push(self) -> str:
        """Opens a push; returns its id."""
        ...

    def end_push(self, push: str) -> None:
        """Ends a push without publishing. Does nothing if it has ended already."""
        ...

    def promise(self, push: str, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `stat`; the server keeps these objects for as long as the push is open.

        Raises:
            NotFoundError: The push has ended.
        """
        ...

    def send(
        self, push: str, objects: Sequence[Packed], sent: Callable[[int], object]
    ) -> list[ObjectId]:
        """Sends objects of one kind that fit into one request. Durable on return.

        Args:
            push: The push.
            objects: The objects.
            sent: Called with plain bytes while they are sent; in all with those of all objects.

        Returns:
            The refused ids, whose bytes do not match them.

        Raises:
            NotFoundError: The push has ended.
        """
        ...

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """The number that the next version of a name will have, and its newest version."""
        ...

    def publish(self, push: str, what: ManifestId | NameUpdate) -> NameRecord | None:
        """Publishes a manifest, and updates a name in the same commit. Ends the push.

        Args:
            push: Id of the push; empty if the server has the manifest already.
            what: The manifest, or the update of a name that points to it.

        Returns:
            The version of the name, or None without a name.

        Raises:
            IncompleteError: The server lacks objects of the manifest.
            NotFoundError: The push has ended.
            LostRaceError: The newest version of the name is not the expected one.
        """
        ...

    def close(self) -> None:
        """Closes all connections. Threads that wait for an answer get StoppedError."""
        ...


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push.

    Attributes:
        name: A name to point to the manifest.
        signer: Signs the update of the name.
        part: The share of the objects to send; only a push of all objects publishes.
        connections: Concurrent requests.
        begun: Called with the id of each push that was opened, by which it can be ended.
    """

    name: Name | None = None
    signer: Signer | None = None
    part: Part = ALL
    connections: int = 4
    begun: Callable[[str], object] = str


class Pushed(NamedTuple):
    """The result of a push, or its forecast; sizes in bytes.

    Attributes:
        manifest: The manifest.
        length: Plain bytes of its content; for a tree, those of its root entry.
        objects: Objects that the server was asked about.
        new: Objects that were sent.
        payload: Bytes of their payloads.
        published: Whether the manifest was published.
        name: The version of the name.
        traffic: Network traffic.
        seconds: Duration.
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
    """Objects looked up and sent so far; only the main thread uses it."""

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
    """Pushes the manifest of `ref`.

    Args:
        ref: A full manifest of `source`.
        source: A store on this machine.
        target: The server.
        options: How to push.
        progress: Receives phases and bytes.

    Raises:
        UsageError: A name was given for a part.
        NoNameError: `source` has no such manifest or name.
        NoObjectError: The manifest was removed here meanwhile.
        DamagedObjectError: An object cannot be read here, or does not match its id.
        IncompleteError: The server repeatedly reports missing objects after they were sent.
        NoSpaceError: The server has no room. The push is given up.
        DeniedError, RemoteError, StoppedError: The server refused or failed.
    """
    started = time.monotonic()
    if options.part.shares > 1 and options.name is not None:
        raise UsageError(
            "a part of a push sets no name", next_step="Push everything with the name afterwards."
        )
    ident = source.resolve(ref)
    row = source.manifest(ident)
    length = row.length if row is not None else 0
    count = _Count()
    publishes = options.part.shares == 1
    record: NameRecord | None = None
    is_there = _is_whole(target, ident)
    if is_there and options.name is not None:
        try:
            record = _publish(target, "", ident, options)
        except IncompleteError:  # it was removed there since
            is_there = False
    if not is_there:
        sending = _Sending(source, target, options, progress)
        try:
            with unless_removed(ident, source):
                record = sending.run(ident, length, count, publishes=publishes)
        except BaseException:
            target.close()  # wakes the threads that wait for it
            raise
        finally:
            sending.close()
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
    """Computes what `push` with the same arguments would send. Changes nothing on the server.

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
        lacking: set[ObjectId] = set()  # an object is sent once, however often it is listed
        with unless_removed(ident, source):
            for batch in reachable(ident, source, options.part):
                there = target.stat(batch.kind, batch.ids)
                absent = [i for i, stat in zip(batch.ids, there, strict=True) if stat is None]
                fresh = [each for each in absent if each not in lacking]
                if len(lacking) < _REMEMBERED:
                    lacking.update(fresh)
                count.objects += len(batch.ids)
                count.new += len(fresh)
                count.payload += sum(
                    s.stored for s in source.stat(batch.kind, fresh) if s is not None
                )
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
        """Ends the threads. Drops batches that have not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(
        self, ident: ManifestId, length: int, count: _Count, *, publishes: bool
    ) -> NameRecord | None:
        """Sends missing objects until the server has all of them."""
        failure: NotFoundError | None = None
        for _ in range(_ROUNDS):
            self._progress.start("sending", length if publishes else None)
            session = self._target.begin_push()
            self._options.begun(session)
            new = count.new
            try:
                self._send_all(session, ident, count)
                if not publishes:
                    return None
                return _publish(self._target, session, ident, self._options)
            except IncompleteError as error:
                if failure is not None and new == count.new:
                    raise  # the server reports objects as both present and missing
                failure = error
            except NotFoundError as error:  # the push was silent for too long, or was ended
                failure = error
            except NoSpaceError:
                with suppress(CasyncError):  # the server ends a push that has no room by itself
                    self._target.end_push(session)
                raise
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

    def _settle(self, session: str, batch: ObjectBatch) -> tuple[ObjectBatch, int, int]:
        """Sends the missing objects of a batch; returns it, with their number and bytes."""
        stats = self._target.promise(session, batch.kind, batch.ids)
        lacking = [ident for ident, stat in zip(batch.ids, stats, strict=True) if stat is None]
        if not lacking:
            self._progress.advance(batch.length)
            return batch, 0, 0
        objects: list[Packed] = []
        for ident, answer in zip(lacking, self._source.get(batch.kind, lacking), strict=True):
            if isinstance(answer, Absence):
                raise Lost(batch.kind, ident, answer).error(DamagedObjectError)
            objects.append(answer)
        tells = self._progress.advance if batch.length else str  # only chunks count as progress
        tells(batch.length - sum(packed.length for packed in objects))
        refused = self._target.send(session, objects, tells)
        if refused:
            detail = "its bytes do not match its id"
            raise Lost(batch.kind, refused[0], Absence.DAMAGED, detail).error()
        return batch, len(objects), sum(len(packed.payload) for packed in objects)
