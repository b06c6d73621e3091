"""The member indexes that are published with archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from casync.errors import CasyncError
from casync.ids import ChunkId, Kind, ManifestId
from casync.objects.below import Below, Reached, Seen, walk_nodes
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content, Record
from casync.store.base import ObjectSource
from casync.store.member_indexes import IndexedStore
from casync.store.proved import ProvedReader

__all__ = ["PublishedIndexes", "indexed_archives"]


def indexed_archives(source: ObjectSource, ident: ManifestId) -> Set[bytes]:
    """The ids of the archives below a manifest whose indexes the source has.

    Raises:
        NoObjectError, IntegrityError: An object is missing or damaged.
    """
    indexes = PublishedIndexes(source)
    if isinstance(source, IndexedStore):
        plain = ProvedReader(source)
        manifest = decode_manifest(plain.one(Kind.MANIFEST, ident))
        for contents in Below(plain.plain).contents(manifest):
            if isinstance(contents, CasyncError):
                raise contents
            indexes.meet(contents)
    return indexes.found.keys()


class PublishedIndexes:
    """The member indexes of the archives below a manifest, as far as the source has them whole.

    Attributes:
        found: The indexes, by the ids of the archives' contents.
    """

    def __init__(self, source: ObjectSource) -> None:
        self.found: dict[bytes, Content] = {}
        self._source = source
        self._store = source if isinstance(source, IndexedStore) else None

    def meet(self, contents: Sequence[Content]) -> None:
        """Looks for the indexes of contents."""
        if self._store is None:
            return
        for content in contents:
            index = self._store.member_index(content.id) if content.length else None
            if index is not None and self._is_whole(index):
                self.found[content.id] = index

    def walk(self, seen: Seen) -> Iterator[Reached]:
        """Visits what the indexes consist of."""
        contents = list(self.found.values())
        yield Reached(
            None, chunks=[Record(one.id, one.length) for one in contents if not one.level]
        )
        yield from walk_nodes(contents, ProvedReader(self._source).found, seen, strict=False)

    def _is_whole(self, index: Content) -> bool:
        chunks = [Record(index.id, index.length)] if not index.level else []
        for reached in walk_nodes([index], ProvedReader(self._source).found, {}, strict=False):
            if reached.fault is not None:
                return False
            chunks += reached.chunks
        ids = [ChunkId(chunk.id) for chunk in chunks]
        return None not in self._source.stat(Kind.CHUNK, ids)
