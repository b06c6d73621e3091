"""Completeness: walks manifests to find how much of each a store holds.

Used to rebuild rows from the objects in a store; a writer that has just put all objects of a
manifest needs no walk.
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
    """The part of a store that a walk uses."""

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are in the store."""
        ...


class Completeness:
    """Determines the state of manifests one by one; walks what they share once."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._proved = ProvedReader(objects)
        self._below = Below(self._proved.found)  # visited objects are complete

    def manifest(self, ident: ManifestId) -> Manifest | None:
        """The manifest itself, if it is in the store and valid."""
        (data,) = self._proved.found(Kind.MANIFEST, [ident])
        try:
            return None if data is None else decode_manifest(data)
        except (IntegrityError, UnsupportedError):
            return None

    def state(self, manifest: Manifest) -> ManifestState | None:
        """FULL if everything below it is here, OUTLINE if all nodes of a file are, else None."""
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
