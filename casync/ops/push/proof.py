"""Proves that everything below a manifest is in a store, and stays there while a push is open.

Manifests and nodes are read and decoded, chunks are looked up and their lengths compared. Each
distinct node is visited once, so a hostile manifest costs no more than what the client sent. A
proof runs in steps, so that its caller can answer requests meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from casync.errors import MalformedError, NoObjectError, UsageError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.objects.below import Below
from casync.objects.manifest import Manifest, decode_manifest
from casync.sizes import format_count
from casync.store.base import ObjectSource, ObjectStat
from casync.store.proved import Lost, ProvedReader

__all__ = ["Promise", "Proof"]

_MOST_MISSING: Final = 256
"""Missing objects after which a proof stops."""


class Promise(Protocol):
    """Returns the sizes of objects that are here, and makes sure that they stay."""

    def __call__(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `Pushes.promise`, for one push."""
        ...


class Proof:
    """One proof. Used by one thread at a time.

    Args:
        ident: The manifest.
        store: The store that must have everything.
        promise: Called for every object.

    Attributes:
        missing: Missing objects found so far.
        checked: Number of objects looked up so far.
        length: Plain bytes of the manifest's content, once it was read.
    """

    def __init__(self, ident: ManifestId, store: ObjectSource, promise: Promise) -> None:
        self._ident = ident
        self._objects = ProvedReader(store)
        self._promise = promise
        self.missing: list[tuple[Kind, ObjectId]] = []
        self.checked = 0
        self.length = 0

    def steps(self) -> Iterator[None]:
        """Runs the proof, one batch per step. It holds if this ends and nothing is missing.

        Raises:
            UsageError: An object is malformed, or contradicts another one.
            UnsupportedError: An object is newer than this program.
            CasyncError: What `store` and `promise` raise.
        """
        try:
            for data in self._plain(Kind.MANIFEST, [self._ident]):
                if data is not None:
                    yield from self._below(decode_manifest(data))
        except MalformedError as error:
            raise UsageError(
                f"the content of {self._ident.hex()} is malformed: {error.message}"
            ) from error

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
                listed = format_count(length, "byte")
                raise MalformedError(
                    f"chunk {ident.hex()} is listed with {listed} and has {stat.length}"
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
        """Plain bytes, promised before they are read. Damaged objects count as missing."""
        stats = self._promised(kind, ids)
        for stat, found in zip(stats, self._objects.look(kind, ids), strict=True):
            if not isinstance(found, Lost):
                yield found
                continue
            if stat is not None:
                self.missing.append((kind, found.id))
            yield None
