"""A store as if a server stood before it: what it gives is counted as it would travel.

Measures transfers without a network. Counted are the bodies of requests and answers, exactly as
`casync.frames` makes them; the heads of HTTP, some 200 bytes a request each way, are not.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from casync.codec import Packed
from casync.frames import END_FRAME, encode_ids, object_header
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MAX_BATCH_IDS
from casync.name import Name, NameRecord, Ref
from casync.store.base import Absence, ManifestRow, ManifestSource, ObjectStat, Traffic

__all__ = ["Loopback"]


class Loopback:
    """A `casync.ops.ports.Server` over a store of this process. Used by several threads at once.

    Args:
        store: What it serves.
    """

    origin = "loopback"

    def __init__(self, store: ManifestSource) -> None:
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
        """The bytes of all answers that were about objects of `kinds`."""
        with self._lock:
            return sum(self._received[kind] for kind in kinds)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """What the store has; see `ObjectSource.get`."""
        for at in range(0, len(ids), MAX_BATCH_IDS):
            batch = ids[at : at + MAX_BATCH_IDS]
            with self._lock:
                self._requests += 1
                self._sent += len(encode_ids(kind, batch))
                self._received[kind] += len(END_FRAME)
            for answer in self._store.get(kind, batch):
                if isinstance(answer, Packed):
                    with self._lock:
                        self._received[kind] += len(object_header(answer)) + len(answer.payload)
                yield answer

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
        """Nobody waits for an answer."""
