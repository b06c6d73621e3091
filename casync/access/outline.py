"""The outline of a manifest: the manifest and all its nodes, fetched level by level.

Every node is proved by its id, its level and its length before it is used or kept. Each distinct
node is fetched and walked once, so neither a hole nor a hostile graph makes this grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    MalformedError,
    NoObjectError,
)
from casync.ids import Kind, ManifestId, NodeId, ObjectId, zero_chunk_id
from casync.limits import COMMIT_BYTES, OBJECT_BYTES
from casync.objects.below import Seen, walk_nodes
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed, Unpacker, Verified
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.node import Content, Node, decode_node
from casync.planning.windows import Window, distinct_windows, windows
from casync.store.base import Absence, Batch, ObjectSource, ObjectStore
from casync.store.proved import Lost, ProvedReader, prove

__all__ = ["CACHED_NODES", "ObjectLoader", "Outline", "load_outline", "open_outline"]

CACHED_NODES: Final = 1024
"""Decoded nodes kept: some 20 MiB. What is larger is read anew in each walk."""


class Outline:
    """A manifest, and the way to its nodes, which `store` gives one by one.

    Args:
        ident: The manifest's id.
        manifest: The manifest.
        store: Where its nodes are: a store, or a server.
        cached_nodes: Decoded nodes to keep; fewer where there are many readers.

    Attributes:
        loaded: Nodes that were proved already: each is taken from here once instead of read.
    """

    def __init__(
        self,
        ident: ManifestId,
        manifest: Manifest,
        store: ObjectSource,
        *,
        cached_nodes: int = CACHED_NODES,
    ) -> None:
        self.id = ident
        self.manifest = manifest
        self._objects = ProvedReader(store)
        self.loaded: dict[tuple[NodeId, int, int], Node] = {}
        self.node = lru_cache(maxsize=cached_nodes)(self._node)

    @property
    def content(self) -> Content:
        """What the manifest names."""
        return self.manifest.content

    @property
    def length(self) -> int:
        """Plain bytes of the content."""
        return self.manifest.length

    @property
    def params(self) -> ChunkerParams:
        """How the content was cut."""
        return self.manifest.params

    def windows(self, *, distinct: bool) -> Iterator[Window]:
        """The content as windows; `distinct`: the chunks of each distinct node once."""
        plan = distinct_windows if distinct else windows
        return plan(self.content, self.node, self.params.max_size)

    def _node(self, ident: NodeId, level: int, length: int) -> Node:
        """Reads a node of the outline. Used by one thread.

        Raises:
            NoObjectError, IntegrityError: It is not here, or damaged.
        """
        if (loaded := self.loaded.pop((ident, level, length), None)) is not None:
            return loaded
        data = self._objects.one(Kind.NODE, ident)
        try:
            return decode_node(data, level, length)
        except MalformedError as error:
            raise DamagedObjectError(f"node {ident.hex()}: {error.message}") from error

    def is_hole(self, ident: bytes, length: int) -> bool:
        """Whether a record is the chunk that holes are cut into, and does not lie about it."""
        largest = self.params.max_size
        return length == largest and ident == zero_chunk_id(largest)

    def solid_bytes(self, content: Content | None = None) -> int:
        """Bytes that are not whole chunks of zeros: what a disk must have.

        Args:
            content: Of what; None is the content of the manifest.
        """
        known: dict[bytes, int] = {}
        largest = self.params.max_size

        def solid(level: int, ident: bytes, length: int) -> int:
            if level == 0:
                return 0 if length == largest and self.is_hole(ident, length) else length
            if ident not in known:
                records = self.node(NodeId(ident), level, length).records
                known[ident] = sum(solid(level - 1, *record) for record in records)
            return known[ident]

        content = content or self.content
        return solid(content.level, content.id, content.length) if content.length else 0


def open_outline(
    ident: ManifestId, source: ObjectSource, *, cached_nodes: int = CACHED_NODES
) -> Outline:
    """The outline of a manifest of `source`. Nodes are read when they are wanted.

    Raises:
        NoObjectError: The source has no such manifest.
        IntegrityError: It is damaged.
        UnsupportedError: It is newer than this program.
    """
    manifest = decode_manifest(ProvedReader(source).one(Kind.MANIFEST, ident))
    return Outline(ident, manifest, source, cached_nodes=cached_nodes)


def load_outline(outline: Outline, loader: ObjectLoader) -> None:
    """Makes sure that all nodes of an outline are in the store of `loader`.

    Raises:
        NoObjectError: No source has an object.
        IntegrityError: Everybody who has it sends something else.
        RemoteError: Servers could not be asked.
    """
    seen: Seen = {}
    for reached in walk_nodes([outline.content], loader.plain, seen, strict=True):
        reached.check()
        has_room = len(outline.loaded) < CACHED_NODES
        if has_room and reached.id is not None and reached.node is not None:
            outline.loaded[reached.id, *seen[reached.id][:2]] = reached.node
    loader.flush()


class ObjectLoader:
    """Loads objects from servers into a store, and gives their proved plain bytes.

    Attributes:
        store: The store.
    """

    def __init__(self, store: ObjectStore, servers: Sequence[ObjectSource]) -> None:
        self.store = store
        self._servers = servers
        self._unpacker = Unpacker()
        self._new: dict[tuple[Kind, ObjectId], Verified] = {}  # not committed yet
        self._new_bytes = 0

    def plain(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bytes]:
        """The plain bytes of each object of one kind, in the order asked.

        Raises:
            NoObjectError: No source has one.
            IntegrityError, RemoteError: As `load_outline`.
        """
        new = [self._new[kind, ident] for ident in ids if (kind, ident) in self._new]
        found = {packed.id: self._unpacker.decode(packed) for packed in new}
        rest = [ident for ident in dict.fromkeys(ids) if ident not in found]
        failure: CasyncError | None = None
        for source in (self.store, *self._servers):
            if not rest:
                break
            try:
                if source is self.store:
                    self.store.known(kind, rest)  # so that what is found stays
                for ident, answer in zip(rest, source.get(kind, rest), strict=False):
                    proved = prove(kind, ident, answer, self._unpacker)
                    if not isinstance(proved, Lost):
                        found[ident] = proved
                        if isinstance(answer, Packed) and source is not self.store:
                            self.keep(Verified(*answer))
                    elif proved.detail or proved.absence is Absence.BUSY:
                        failure = proved.error()
            except CasyncError as error:
                failure = error
            rest = [ident for ident in rest if ident not in found]
        if rest:
            if failure is not None:
                raise failure
            raise NoObjectError(f"no source has {kind.name.lower()} {rest[0].hex()}")
        return [found[ident] for ident in ids]

    def keep(self, verified: Verified) -> None:
        """Has an object committed with what servers sent."""
        self._new[verified.kind, verified.id] = verified
        self._new_bytes += len(verified.payload) + OBJECT_BYTES
        if self._new_bytes >= COMMIT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Commits what was kept so far."""
        if self._new:
            self.store.commit(Batch(objects=list(self._new.values())))
            self._new, self._new_bytes = {}, 0
