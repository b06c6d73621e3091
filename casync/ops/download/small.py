"""Small objects, which are cut, looked up and published together.

Threads that fetch put whole bodies here and go on. Another thread takes all that came while it was
busy: one look-up, one call of zstd and one turn of the writer for all of them. Alone each object
would cost several times what its bytes do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from casync.cutting.small import cut_small
from casync.errors import StoppedError
from casync.ids import Buffer, Kind, ManifestId, ObjectId, manifest_id
from casync.jobs.origin import Origin
from casync.jobs.validators import Validators
from casync.limits import KIB, MIB
from casync.names.name import Name
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder
from casync.ops.download.ledger import Ledger
from casync.ops.download.writing import SharedWriter

__all__ = ["SMALL_BYTES", "SmallObject", "SmallObjects"]

SMALL_BYTES: Final = 256 * KIB
"""Bytes up to which an object is small: fetching it again costs little more than going on."""

_WAITING_BYTES: Final = 8 * MIB
"""Bytes of bodies that wait; those that are being published are as many again."""

_WAITING_OBJECTS: Final = 128
"""Objects that wait: what a kill makes a later run fetch again."""


_WORTH_A_TURN: Final = 16
"""Objects that are published without waiting for more."""

_GATHERING: Final = 0.005
"""Seconds in which so many are gathered."""


@dataclass(frozen=True, slots=True)
class SmallObject:
    """One whole object.

    Attributes:
        index: The index of its item.
        name: The name that it gets.
        place: The place of its source.
        key: Its key there.
        validators: What the source said about it.
        data: Its bytes, which match all that is known of it; empty if it is a replica.
        replica: Its manifest, if it has that from another store.
        objects: What the store lacks of the replica.
        length: Bytes of the replica.
    """

    index: int
    name: Name
    place: str
    key: str
    validators: Validators
    data: Buffer = b""
    replica: ManifestId | None = None
    objects: Sequence[Verified] = ()
    length: int = 0


class SmallObjects:
    """Publishes small objects in a thread of its own. Safe for threads. Use in a with block.

    Args:
        writer: The writer of the job.
        ledger: What it has done.
        params: Chunk sizes.
        settled: Is told of the number of objects that were published.
    """

    def __init__(
        self,
        writer: SharedWriter,
        ledger: Ledger,
        params: ChunkerParams,
        settled: Callable[[int], None],
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._params = params
        self._settled = settled
        self._changed = threading.Condition()
        self._waiting: list[SmallObject] = []
        self._bytes = 0
        self._ends = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="small-objects")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Publishes what is here, unless that failed before, and ends the thread."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join()

    def check(self) -> None:
        """Raises the error that publishing failed with."""
        if self._error is not None:
            raise self._error

    def put(self, found: SmallObject) -> None:
        """Takes an object. Waits while many others wait.

        Raises:
            StoppedError: Publishing failed, as `check` says.
        """
        with self._changed:
            while self._is_full and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise StoppedError("stopped")
            self._waiting.append(found)
            self._bytes += len(found.data) or found.length
            if len(self._waiting) == 1 or self._is_worth_a_turn:
                self._changed.notify_all()

    @property
    def _is_worth_a_turn(self) -> bool:
        return self._ends or len(self._waiting) >= _WORTH_A_TURN or self._is_full

    @property
    def _is_full(self) -> bool:
        return self._bytes >= _WAITING_BYTES or len(self._waiting) >= _WAITING_OBJECTS

    def _run(self) -> None:
        try:
            while some := self._take():
                with self._writer.cutting:
                    self._publish(some)
                self._settled(len(some))
        except BaseException as error:  # the thread that runs the job raises it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _take(self) -> list[SmallObject]:
        """All that wait; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ends)
            self._changed.wait_for(lambda: self._is_worth_a_turn, _GATHERING)
            some, self._waiting, self._bytes = self._waiting, [], 0
            self._changed.notify_all()
            return some

    def _publish(self, some: list[SmallObject]) -> None:
        cut = [each for each in some if each.replica is None]
        packed, manifests = self._make(cut)
        made = dict(zip((each.index for each in cut), manifests, strict=True))
        with self._writer.turn(urgent=True) as batch:
            batch.put_absent(packed)
            for each in some:
                batch.put_absent(each.objects)
                ident = each.replica or made[each.index]
                length = len(each.data) or each.length
                origin = Origin(each.place, each.key, ident, length, each.validators)
                self._ledger.finish(each.index, each.name, ident, origin)

    def _make(self, some: list[SmallObject]) -> tuple[list[Verified], list[ManifestId]]:
        """Cuts objects; returns what must be stored of them, and their manifests."""
        chunks: dict[ObjectId, Buffer] = {}
        nodes: dict[ObjectId, bytes] = {}
        plain: list[tuple[ObjectId, Buffer]] = []
        for each in some:
            pieces = cut_small(each.data, self._params)
            chunks.update(pieces)
            builder = NodeBuilder(nodes.__setitem__)
            builder.extend([(ident, len(piece)) for ident, piece in pieces])
            data = encode_manifest(Manifest("file", self._params, builder.finish()))
            plain.append((manifest_id(data), data))
        packer = self._writer.packer
        new = self._writer.missing(Kind.CHUNK, chunks)
        packed = packer.pack_batch(Kind.CHUNK, [item for item in chunks.items() if item[0] in new])
        if nodes:
            new = self._writer.missing(Kind.NODE, nodes)
            packed += packer.pack_batch(Kind.NODE, [(ident, nodes[ident]) for ident in new])
        packed += packer.pack_batch(Kind.MANIFEST, plain)
        return packed, [ManifestId(ident) for ident, _ in plain]
