"""A server whose answers are counted, for one of several users of its connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from casync.errors import StoppedError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.store.base import Absence, ManifestRow, ObjectStat, Traffic
from casync.store.server import Server

__all__ = ["MeteredServer", "Meter"]

Meter = Callable[[int], object]
"""Is told of bytes that came, and waits while there were too many."""


class MeteredServer:
    """A `Server` that shares the connections of another one.

    Args:
        server: The other one.
        meter: See `Meter`.

    Attributes:
        received: Bytes of the objects that came.
        chunks: Chunks that came.
    """

    def __init__(self, server: Server, meter: Meter | None = None) -> None:
        self._server = server
        self._meter = meter
        self._stopped = False
        self.origin = server.origin
        self.received = 0
        self.chunks = 0

    @property
    def traffic(self) -> Traffic:
        """As `Server.traffic`: that of all users."""
        return self._server.traffic

    @property
    def deltas_pay(self) -> bool:
        """As `Server.deltas_pay`."""
        return self._server.deltas_pay

    def close(self) -> None:
        """Ends the requests of this user only."""
        self._stopped = True

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        for answer in self._server.get(kind, ids):
            self._count(kind, [answer])
            yield answer

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`."""
        self._server.expects(manifest)

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """As `Server.get_groups`."""
        for answers in self._server.get_groups(kind, groups):
            self._count(kind, answers)
            yield answers

    def _count(self, kind: Kind, answers: Sequence[Packed | Delta | Absence]) -> None:
        if self._stopped:
            raise StoppedError("stopped")
        count = 0
        for answer in answers:
            if not isinstance(answer, Absence):
                count += len(answer.payload)
                if kind is Kind.CHUNK:
                    self.chunks += len(answer.ids) if isinstance(answer, Delta) else 1
        self.received += count
        if self._meter is not None and count:
            self._meter(count)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._server.stat(kind, ids)

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return self._server.manifests()

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._server.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        return self._server.names(prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        return self._server.history(name)

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        return self._server.resolve(ref)
