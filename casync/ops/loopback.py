"""A store that acts as a server, and counts the bytes that would travel.

Measures transfers without a network. It counts the bodies of requests and answers exactly as
`casync.wire.frames` makes them, without the heads of HTTP, some 200 bytes per request each way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MAX_BATCH_BYTES
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed, Unpacker
from casync.objects.delta import Delta, Group, Singles
from casync.ops.serve.deltas import make_delta
from casync.store.base import Absence, ManifestRow, ManifestSource, ObjectStat, Traffic
from casync.wire.frames import END_FRAME, answer_header
from casync.wire.requests import encode_groups, first_groups

__all__ = ["Loopback"]


class Loopback:
    """A `Server` over a store of this process. Used by several threads at once.

    Args:
        store: The store to serve.
        deltas: Whether it makes deltas for all requests, whatever that costs.
    """

    origin = "loopback"

    def __init__(self, store: ManifestSource, *, deltas: bool = False) -> None:
        self.deltas_pay = deltas
        self._store = store
        self._lock = threading.Lock()
        self._received: Counter[Kind] = Counter()
        self._requests = self._sent = 0

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        with self._lock:
            return Traffic(self._requests, self._sent, self._received.total())

    def received(self, *kinds: Kind) -> int:
        """The bytes of all answers to requests for objects of `kinds`."""
        with self._lock:
            return sum(self._received[kind] for kind in kinds)

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`: a store finds any object without that."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """The objects of the store; see `ObjectSource.get`."""
        for answers in self.get_groups(kind, Singles(ids)):
            for answer in answers:
                assert not isinstance(answer, Delta)  # only groups get deltas
                yield answer

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """The objects of the store, as deltas where these are shorter; see `Server.get_groups`."""
        unpacker = Unpacker()
        rest = groups
        while rest:
            batch = first_groups(rest)
            rest = rest[len(batch) :]
            with self._lock:
                self._requests += 1
                self._sent += len(encode_groups(kind, batch))
                self._received[kind] += len(END_FRAME)
            for answer in self._answers(kind, batch, unpacker):
                if not isinstance(answer, Absence):
                    with self._lock:
                        self._received[kind] += len(answer_header(answer)) + len(answer.payload)
                yield (answer,)

    def _answers(
        self, kind: Kind, batch: Sequence[Group], unpacker: Unpacker
    ) -> Iterator[Packed | Delta | Absence]:
        for alone, groups in groupby(batch, lambda group: group.is_single):
            if alone or not self.deltas_pay:
                yield from self._store.get(kind, [i for group in groups for i in group.wanted])
                continue
            for group in groups:
                made = make_delta(self._store, kind, group, unpacker, MAX_BATCH_BYTES)
                yield from self._store.get(kind, group.wanted) if made is None else (made.delta,)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As the store."""
        return self._store.stat(kind, ids)

    def manifests(self) -> Iterator[ManifestRow]:
        """As the store."""
        return self._store.manifests()

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As the store."""
        return self._store.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As the store."""
        return self._store.names(prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """As the store."""
        return self._store.history(name)

    def resolve(self, ref: Ref) -> ManifestId:
        """As the store."""
        return self._store.resolve(ref)

    def close(self) -> None:
        """Does nothing: answers are immediate."""
