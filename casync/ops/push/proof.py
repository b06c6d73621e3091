"""Proves that everything below a manifest is in a store, and stays there while a push is open.

Manifests and nodes are read and taken apart, chunks are looked up with the lengths that are told
of them. Each distinct node is visited once, so what a client made up costs no more than what it
sent. A proof goes on step by step, for a caller who must answer meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from casync.errors import MalformedError, NoObjectError, UsageError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.objects.below import Below
from casync.objects.manifest import Manifest, decode_manifest
from casync.store.base import ObjectSource, ObjectStat
from casync.store.proved import Lost, ProvedReader

__all__ = ["Promise", "Proof"]

_MOST_MISSING: Final = 256
"""Missing objects that are told; a proof that finds so many stops there."""


class Promise(Protocol):
    """Tells the sizes of objects that are here, and makes sure that they stay."""

    def __call__(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `Inbox.promise`."""
        ...


class Proof:
    """One proof. Used by one thread at a time.

    Args:
        ident: The manifest.
        store: Where everything must be.
        promise: Is asked for every object.

    Attributes:
        missing: What was found to be missing so far.
        checked: How many objects were asked for.
        length: Plain bytes that the manifest tells, once it was read.
    """

    def __init__(self, ident: ManifestId, store: ObjectSource, promise: Promise) -> None:
        self._ident = ident
        self._objects = ProvedReader(store)
        self._promise = promise
        self.missing: list[tuple[Kind, ObjectId]] = []
        self.checked = 0
        self.length = 0

    def steps(self) -> Iterator[None]:
        """Goes on by one batch a step. It is proved when this ends and nothing is missing.

        Raises:
            UsageError: What is here contradicts itself: it is no content.
            UnsupportedError: It is newer than this program.
            CasyncError: What `store` and `promise` raise.
        """
        try:
            for data in self._plain(Kind.MANIFEST, [self._ident]):
                if data is not None:
                    yield from self._below(decode_manifest(data))
        except MalformedError as error:
            raise UsageError(f"{self._ident.hex()} leads to no content: {error.message}") from error

    def _below(self, manifest: Manifest) -> Iterator[None]:
        self.length = manifest.length
        for reached in Below(self._plain, strict=True).walk(manifest):
            if not isinstance(reached.fault, NoObjectError):  # else it was noted
                reached.check()
            self._look_up([(ChunkId(ident), length) for ident, length in set(reached.chunks)])
            yield
            if len(self.missing) >= _MOST_MISSING:
                return

    def _look_up(self, wanted: Sequence[tuple[ChunkId, int]]) -> None:
        stats = self._promised(Kind.CHUNK, [ident for ident, _ in wanted])
        for (ident, length), stat in zip(wanted, stats, strict=True):
            if stat is not None and stat.length != length:
                raise MalformedError(
                    f"{length} bytes are told of chunk {ident.hex()}, which has {stat.length}"
                )

    def _promised(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        if not ids:
            return []
        stats = self._promise(kind, ids)
        self.checked += len(ids)
        lost = [ident for ident, stat in zip(ids, stats, strict=True) if stat is None]
        self.missing += [(kind, ident) for ident in lost]
        return stats

    def _plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        """Plain bytes, promised before they are read. What is damaged is as good as missing."""
        stats = self._promised(kind, ids)
        for stat, found in zip(stats, self._objects.look(kind, ids), strict=True):
            if not isinstance(found, Lost):
                yield found
                continue
            if stat is not None:
                self.missing.append((kind, found.id))
            yield None
