"""Objects from the nearest of several sources that has them: stores of this machine, then servers.

For readers of parts of a content. Pulls of whole files have their supplies, which work in parallel.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from casync.access.endpoints import Endpoints
from casync.errors import CasyncError
from casync.ids import Kind, ObjectId
from casync.limits import MIB
from casync.objects.codec import Packed, Unpacker
from casync.store.base import Absence, ObjectSource, ObjectStat
from casync.store.proved import Lost, prove

__all__ = ["NearestSource"]

_HERE: Final = "local store"
_THERE: Final = "server"
_RECENT_BYTES: Final = 8 * MIB
"""Payloads of chunks that are held: what is read twice of a gzip, from one point to the next."""


class NearestSource:
    """An `ObjectSource` over all endpoints. Used by one thread.

    Args:
        endpoints: Stores and servers.

    Attributes:
        given: Plain bytes of the chunks that came, by source.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self.given: Counter[str] = Counter()
        self._sources: list[tuple[str, ObjectSource]] = [
            *((_HERE, store) for store in endpoints.local),
            *((_THERE, server) for server in endpoints.servers),
        ]
        self._unpacker = Unpacker()
        self._recent: OrderedDict[ObjectId, Packed] = OrderedDict()  # chunks
        self._recent_bytes = 0

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`. Holds all answers at once.

        Raises:
            CasyncError: A source failed, and no other has what it was asked for.
        """
        held = self._recent if kind is Kind.CHUNK else {}
        found: dict[ObjectId, Packed | Absence] = {i: held[i] for i in ids if i in held}
        rest = [ident for ident in dict.fromkeys(ids) if ident not in found]
        failure: CasyncError | None = None
        for number, (label, source) in enumerate(self._sources, 1):
            if not rest:
                break
            try:
                for ident, answer in zip(rest, source.get(kind, rest), strict=True):
                    good = self._checked(kind, ident, answer, is_last=number == len(self._sources))
                    if isinstance(good, Packed):
                        found[ident] = good
                        self._keep(label, good)
                    elif good is not Absence.MISSING or ident not in found:
                        found[ident] = good
            except CasyncError as error:
                failure = error
            rest = [ident for ident in rest if not isinstance(found.get(ident), Packed)]
        if rest and failure is not None:
            raise failure
        for ident in ids:
            yield found.get(ident, Absence.MISSING)

    def _keep(self, label: str, packed: Packed) -> None:
        """Counts a chunk, and holds it for a while: a gzip is read again from a point before."""
        if packed.kind is not Kind.CHUNK:
            return
        self.given[label] += packed.length
        self._recent[packed.id] = packed
        self._recent_bytes += len(packed.payload)
        while self._recent_bytes > _RECENT_BYTES:
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= len(oldest.payload)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        found: list[ObjectStat | None] = [None] * len(ids)
        for _, source in self._sources:
            rest = [index for index, stat in enumerate(found) if stat is None]
            if not rest:
                break
            stats = source.stat(kind, [ids[index] for index in rest])
            for index, stat in zip(rest, stats, strict=True):
                found[index] = stat
        return found

    def _checked(
        self, kind: Kind, ident: ObjectId, answer: Packed | Absence, *, is_last: bool
    ) -> Packed | Absence:
        """An answer, damaged if it does not match its id; the reader checks those of the last."""
        if is_last or isinstance(answer, Absence):
            return answer
        proved = prove(kind, ident, answer, self._unpacker)
        return proved.absence if isinstance(proved, Lost) else answer
