"""One object of a job: asks for it, goes on where an earlier attempt ended, and publishes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from casync.errors import (
    CasyncError,
    DigestMismatchError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.ids import Kind, ManifestId
from casync.jobs.checksum import Checksum, Verifier
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.validators import Validators
from casync.names.name import Name
from casync.objects.manifest import Manifest, encode_manifest
from casync.ops.download.body import BodyBuffers, ObjectBody
from casync.ops.download.conditions import (
    condition,
    has_changed,
    is_same,
    may_resume,
    origin_validators,
    own_origin,
)
from casync.ops.download.fetch import Fetch
from casync.ops.download.hosts import HostWatch
from casync.ops.download.items import why_unnamed
from casync.ops.download.ledger import Active, Ledger
from casync.ops.download.queue import Errands
from casync.ops.download.ranges import SPLIT_BYTES, RangedReader
from casync.ops.download.small import SMALL_BYTES, SmallObject, SmallObjects
from casync.ops.download.throttle import Throttle
from casync.ops.download.writing import SharedWriter
from casync.remote.sources.base import Listed, ObjectAnswer, Replica, failed
from casync.remote.sources.job_sources import ItemPlace
from casync.store.base import ObjectStore
from casync.store.jobs import JobStore

__all__ = ["Fetcher"]


class Fetcher(NamedTuple):
    """Fetches the objects of one job. Safe for threads.

    Attributes:
        ident: The job.
        spec: What it does.
        jobs: The jobs of the store.
        left: Indices below which earlier runs may have left parts.
        store: The store.
        writer: The writer of the job.
        ledger: What it has done.
        throttle: Its bound on bytes.
        now: Seconds since 1970.
        errands: Takes ranges of large objects for idle threads.
        splits: Bounds the objects that are read in ranges: each holds many in memory.
        unranged: Hosts that do not answer ranges.
        hosts: Is told of hosts that answer.
        small: Publishes small objects.
        buffers: Buffers of large ones.
    """

    ident: str
    spec: JobSpec
    jobs: JobStore
    left: int
    store: ObjectStore
    writer: SharedWriter
    ledger: Ledger
    throttle: Throttle
    now: Callable[[], float]
    errands: Errands
    splits: threading.Semaphore
    unranged: set[str]
    hosts: HostWatch
    small: SmallObjects
    buffers: BodyBuffers

    def attempt(self, fetch: Fetch) -> bool:
        """Tries to fetch an object.

        Returns:
            Whether it is published or unchanged; otherwise `small` has it, which publishes it soon.

        Raises:
            CasyncError: The attempt failed; `fetch` has what the next one needs.
        """
        fetch.answered = False
        self.ledger.waiting.pop(fetch.index, None)
        if fetch.located is None:
            raise fetch.error or UsageError("no address")
        if not fetch.item.name:
            why = f"{fetch.label} {why_unnamed(fetch.item)}"
            raise failed(UsageError(why), ObjectFaultKind.NAME)
        active = Active(fetch.item.name, fetch.item.size, self.now())
        self.ledger.active[fetch.index] = active
        try:
            return self._attempt(fetch, fetch.located, active)
        finally:
            del self.ledger.active[fetch.index]

    def settle(self, fetch: Fetch) -> None:
        """Keeps what an attempt that failed has, for the next one: here, or in a later run.

        Raises:
            CasyncError: What the store raises.
        """
        body = fetch.body
        if body is not None and may_resume(body.validators):
            body.settle()
        else:
            fetch.body = None

    def _attempt(self, fetch: Fetch, located: ItemPlace, active: Active) -> bool:
        item = fetch.item
        origin = own_origin(fetch)
        if origin is not None and is_same(origin, item.validators, item.size):
            return self._skip(fetch, origin)
        if not fetch.asked:
            fetch.asked = True
            self._resume(fetch)
        body = fetch.body
        start = body.position if body is not None else 0
        self.throttle.take()
        if origin is not None and not start and self._has_its_time(fetch, located, origin):
            return self._skip(fetch, origin)
        answer = located.source.open(
            located.key,
            start,
            same=body.validators if body is not None and start else None,
            unless=None if origin is None or start else condition(origin, item),
        )
        fetch.answered = True
        self.hosts.answered(located.host)
        if answer is None:
            assert origin is not None
            return self._skip(fetch, origin)
        with answer:
            fetch.opened = True
            listed = answer.listed
            if origin is not None and is_same(origin, listed.validators, listed.size):
                return self._skip(fetch, origin)
            if answer.replica is not None:
                return self._pull(fetch, located, answer.replica, listed, active)
            if body is None and listed.size is not None and listed.size <= SMALL_BYTES:
                active.size = listed.size
                return self._take_small(fetch, located, answer, listed.size, active)
            body = self._begin(fetch, answer)
            active.size = body.size
            active.done = body.position
            self._read(located, answer, body, active)
        self._check_whole(fetch, body)
        return self._publish(fetch, located, body)

    def _take_small(
        self,
        fetch: Fetch,
        located: ItemPlace,
        answer: ObjectAnswer,
        announced: int,
        active: Active,
    ) -> bool:
        """Reads a small object whole. What came of one that breaks off is kept as of any other."""
        listed = answer.listed
        size, checksums = self._compare(fetch, listed.validators, announced)
        data = memoryview(bytearray(announced + 1))
        came = 0
        try:
            while count := answer.read_into(data[came:][: self.throttle.piece]):
                came += count
                active.done = came
                self._meter(count)
        except CasyncError:
            self._begin(fetch, answer).feed(data[:came])
            raise
        data = data[:came]
        if came != size:
            body = self._begin(fetch, answer)
            body.feed(data)
            self._check_whole(fetch, body)
        verifier = Verifier(tuple(checksums))
        verifier.update(data)
        verifier.finish()
        source, name = located.source, Name(fetch.item.name)
        validators = self._kept(fetch, listed.validators)
        self.small.put(SmallObject(fetch.index, name, source.place, located.key, validators, data))
        return False

    @staticmethod
    def _check_whole(fetch: Fetch, body: ObjectBody) -> None:
        if body.size is not None and body.position != body.size:
            raise failed(
                UnreachableError(f"{fetch.label} ended after {body.position} of {body.size} bytes"),
                ObjectFaultKind.SHORT_BODY,
            )

    def _has_its_time(self, fetch: Fetch, located: ItemPlace, origin: Origin) -> bool:
        """Whether an object of which only a time is known has the same time and size now.

        A condition would be no proof: for most servers an object with an older time is unmodified.
        """
        known = Listed(located.key, origin.size, origin.validators)
        size = fetch.item.size
        if not known.token.startswith(b"time") or size not in (None, origin.size):
            return False
        found = located.source.find(located.key)
        fetch.answered = True
        self.hosts.answered(located.host)
        return found is not None and known.is_same_as(found)

    def _skip(self, fetch: Fetch, origin: Origin) -> bool:
        with self.writer.turn():
            self.ledger.skip(fetch.index, origin.size)
        fetch.body = None
        return True

    def _resume(self, fetch: Fetch) -> None:
        """Takes what an earlier run left."""
        if fetch.index >= self.left:
            return
        half = self.jobs.parts(self.ident, fetch.index)
        if half is None:
            return
        body = self._body(fetch, half.validators, half.size)
        if body.resume(half, self.store):
            fetch.body = body

    def _body(self, fetch: Fetch, validators: Validators, size: int | None) -> ObjectBody:
        size, checksums = self._compare(fetch, validators, size)

        def note(chunks: Sequence[tuple[bytes, int]]) -> None:
            if may_resume(validators):
                with self.writer.turn():
                    self.ledger.part(fetch.index, validators, size, chunks)

        chunker, buffers = self.spec.chunker, self.buffers
        return ObjectBody(self.writer, chunker, validators, size, checksums, note, buffers)

    def _begin(self, fetch: Fetch, answer: ObjectAnswer) -> ObjectBody:
        """The body that an answer continues, or a new one."""
        body, listed = fetch.body, answer.listed
        if body is not None and body.position and answer.start == body.position:
            if body.size is None:
                body.size = listed.size
            if listed.size in (None, body.size):
                return body
            self._restart(fetch)
            raise failed(
                SourceChangedError(f"{fetch.label} now has {listed.size} bytes"),
                ObjectFaultKind.CHANGED,
            )
        if answer.start:
            raise failed(
                SourceChangedError(f"{fetch.label} begins at byte {answer.start}"),
                ObjectFaultKind.CHANGED,
            )
        if body is not None or fetch.index < self.left:  # no part may precede those of this body
            self._restart(fetch)
        fetch.body = self._body(fetch, listed.validators, listed.size)
        return fetch.body

    def _restart(self, fetch: Fetch) -> None:
        """Drops what is here of an object."""
        fetch.body = None
        with self.writer.turn():
            self.ledger.restart(fetch.index)

    def _compare(
        self, fetch: Fetch, validators: Validators, size: int | None
    ) -> tuple[int | None, list[Checksum]]:
        """Compares an object with its item.

        What a given list says holds always. An object that changed since it was listed is fetched
        as it is now; one that did not, but has another size, is not whole.

        Returns:
            The size and the checksums that its bytes must have.

        Raises:
            DigestMismatchError: It has another size than a given list says.
            UnreachableError: It has another size than its listing says.
        """
        item = fetch.item
        listed = item.validators
        is_given = self.spec.kind is SourceKind.LIST
        if not is_given and has_changed(listed, validators):
            return size, [*validators.checksums]
        if item.size is not None and size is not None and item.size != size:
            wrong = DigestMismatchError if is_given else UnreachableError
            raise failed(
                wrong(f"{fetch.label} has {size} bytes, and {item.size} where it is listed"),
                ObjectFaultKind.SHORT_BODY,
            )
        size = item.size if size is None else size
        return size, [*{*listed.checksums, *validators.checksums}]

    def _kept(self, fetch: Fetch, validators: Validators) -> Validators:
        """What is kept of an object that was fetched, to tell later whether it is the same."""
        is_given = self.spec.kind is SourceKind.LIST
        return origin_validators(validators, fetch.item) if is_given else validators

    def _read(
        self, place: ItemPlace, answer: ObjectAnswer, body: ObjectBody, active: Active
    ) -> None:
        """Reads the rest of an object, in ranges if it is long and the server can do that."""
        size = body.size
        pays = size is not None and size - body.position >= SPLIT_BYTES
        if pays and may_resume(body.validators) and place.host not in self.unranged:
            assert size is not None
            if self.splits.acquire(blocking=False):

                def meter(count: int) -> None:
                    active.done = reader.here
                    self._meter(count)

                piece = self.throttle.piece
                reader = RangedReader(place, body.validators, size, self.errands, meter, piece)
                try:
                    for block in reader.blocks(answer):
                        body.feed(block)
                finally:
                    self.splits.release()
                    if not reader.works:
                        self.unranged.add(place.host)
                return
        while count := answer.read_into(body.room()[: self.throttle.piece]):
            body.took(count)
            active.done = body.position
            self._meter(count)

    def _meter(self, count: int) -> None:
        self.ledger.count(count)
        self.throttle.take(count)

    def _pull(
        self,
        fetch: Fetch,
        located: ItemPlace,
        replica: Replica,
        listed: Listed,
        active: Active,
    ) -> bool:
        """Fetches what the store lacks of an object that another store has, and publishes it."""
        from casync.ops.download.replica import fetch_replica, small_replica  # all of `pull`

        size, checksums = self._compare(fetch, listed.validators, listed.size)
        active.size = size
        if size is not None and size <= SMALL_BYTES and not checksums:
            found = small_replica(replica, fetch.label, self.writer, self._meter)
            if found is not None:
                name, place = Name(fetch.item.name), located.source.place
                self.small.put(
                    SmallObject(
                        fetch.index,
                        name,
                        place,
                        located.key,
                        self._kept(fetch, listed.validators),
                        replica=replica.manifest,
                        objects=found[0],
                        length=found[1],
                    )
                )
                return False
        try:
            size = fetch_replica(replica, fetch.label, self.store, checksums, active, self._meter)
        finally:
            fetch.pulled = active.done
        kept = self._kept(fetch, listed.validators)
        origin = Origin(located.source.place, located.key, replica.manifest, size, kept)
        with self.writer.turn(urgent=True):
            self.ledger.finish(fetch.index, Name(fetch.item.name), replica.manifest, origin)
        return True

    def _publish(self, fetch: Fetch, located: ItemPlace, body: ObjectBody) -> bool:
        content = body.finish()
        manifest = Manifest("file", self.spec.chunker, content)
        packed = self.writer.packer.pack_new(Kind.MANIFEST, encode_manifest(manifest))
        kept = self._kept(fetch, body.validators)
        origin = Origin(located.source.place, located.key, packed.id, content.length, kept)
        with self.writer.turn(urgent=True) as batch:
            batch.put_absent([packed])
            self.ledger.finish(fetch.index, Name(fetch.item.name), ManifestId(packed.id), origin)
        fetch.body = None
        return True
