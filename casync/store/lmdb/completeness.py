"""How much of a manifest a store holds, found by walking it.

Used where rows are made anew from what is there; a writer that has just put everything in place
needs no walk. Must not know how the store keeps objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from casync.errors import IntegrityError, UnsupportedError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.objects.below import Below
from casync.objects.manifest import Manifest, decode_manifest
from casync.store.base import ManifestState
from casync.store.proved import Gets, ProvedReader

__all__ = ["Completeness", "ObjectReader"]


class ObjectReader(Gets, Protocol):
    """What a walk needs of a store."""

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are here."""
        ...


class Completeness:
    """Judges manifests one after the other, walking what they share once."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._proved = ProvedReader(objects)
        self._below = Below(self._proved.found)  # has visited what is here with all below it

    def manifest(self, ident: ManifestId) -> Manifest | None:
        """The manifest itself, if it is here and sound."""
        (data,) = self._proved.found(Kind.MANIFEST, [ident])
        try:
            return None if data is None else decode_manifest(data)
        except (IntegrityError, UnsupportedError):
            return None

    def state(self, manifest: Manifest) -> ManifestState | None:
        """FULL with everything below it, OUTLINE of a file with all nodes, None with less."""
        size = self._below.size
        state = self._walk(manifest)
        if state is not ManifestState.FULL:
            self._below.forget(size)
        return state

    def _walk(self, manifest: Manifest) -> ManifestState | None:
        state = ManifestState.FULL
        for reached in self._below.walk(manifest):
            if reached.fault is not None:
                return None
            chunks = sorted({ChunkId(record.id) for record in reached.chunks})
            if not all(self._objects.known(Kind.CHUNK, chunks)):
                if manifest.kind == "tree":
                    return None
                state = ManifestState.OUTLINE
        return state
