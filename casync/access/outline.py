"""The outline of a manifest: the manifest and all its nodes, fetched level by level.

Every node is checked against its id, level and length before it is used or stored. Each distinct
node is fetched and walked once, so neither holes nor a hostile graph of nodes multiply the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    MalformedError,
    NoObjectError,
)
from casync.ids import Kind, ManifestId, NodeId, ObjectId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB, OBJECT_BYTES
from casync.objects.below import walk_nodes
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed, Unpacker, Verified
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.node import Content, Node, Record, decode_node
from casync.store.base import Absence, Batch, ObjectSource, ObjectStore
from casync.store.proved import HERE, NO_SOURCE_STEP, Lost, ProvedReader, damaged_at, prove

__all__ = ["CACHED_NODES", "ObjectLoader", "Outline", "load_outline", "open_outline"]

CACHED_NODES: Final = 128
"""Decoded nodes to cache: some 6 MiB. Walks of larger content read their nodes again."""

_COMMIT_BYTES: Final = 8 * MIB
"""Bytes of loaded objects that are committed together. They wait in memory."""

_LOADED_NODES: Final = 1024
"""Encoded nodes that were read in batches and not yet one by one: some 10 MiB."""


class Outline:
    """A manifest, and access to its nodes, which are read from `store` one by one.

    Args:
        ident: The manifest's id.
        manifest: The manifest.
        store: A store or a server that has the nodes.
        cached_nodes: Decoded nodes to cache; fewer where there are many readers.
        plain: Reads objects in batches, if not from `store`.
    """

    def __init__(
        self,
        ident: ManifestId,
        manifest: Manifest,
        store: ObjectSource,
        *,
        cached_nodes: int = CACHED_NODES,
        plain: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]] | None = None,
    ) -> None:
        self.id = ident
        self.manifest = manifest
        self._plain = plain or ProvedReader(store).plain
        self._loaded: dict[NodeId, bytes] = {}  # the first read takes it from here
        # Without a circle through this outline: many are made, and each is to end at once.
        self.node = lru_cache(maxsize=cached_nodes)(_node_reader(self._plain, self._loaded))

    @property
    def content(self) -> Content:
        """The content that the manifest names."""
        return self.manifest.content

    @property
    def length(self) -> int:
        """Plain bytes of the content."""
        return self.manifest.length

    @property
    def params(self) -> ChunkerParams:
        """The chunk sizes that the content was cut with."""
        return self.manifest.params

    def part(self, offset: int, length: int) -> str:
        """A part of the content, for messages."""
        return f"bytes {offset} to {offset + length}"

    def nodes(self, level: int, records: Sequence[Record]) -> list[Node]:
        """Reads nodes of one level in batches, in order. Used by one thread, as `node`.

        Raises:
            NoObjectError, IntegrityError: A node is missing, or damaged.
        """
        found: list[Node] = []
        for start in range(0, len(records), MAX_BATCH_IDS):
            part = records[start : start + MAX_BATCH_IDS]
            ids = [NodeId(record.id) for record in part]
            for record, data in zip(part, self._plain(Kind.NODE, ids), strict=True):
                if len(self._loaded) < _LOADED_NODES:
                    self._loaded[NodeId(record.id)] = data
                found.append(_decoded(NodeId(record.id), data, level, record.length))
        return found

    def load(self, ids: Sequence[NodeId]) -> None:
        """Reads nodes in a batch for reads by `node` that follow. Used by the same thread.

        What is missing or damaged is left to those.
        """
        new = [ident for ident in ids if ident not in self._loaded]
        if len(self._loaded) + len(new) > _LOADED_NODES:
            self._loaded.clear()
        with suppress(NoObjectError, IntegrityError):
            self._loaded.update(zip(new, self._plain(Kind.NODE, new), strict=True))

    def encoded(self, ids: Sequence[NodeId]) -> Iterable[bytes]:
        """The encodings of nodes, in order. Used by one thread, as `node`.

        Raises:
            NoObjectError, IntegrityError: As `nodes`.
        """
        return self._plain(Kind.NODE, ids)

    def is_hole(self, ident: bytes, length: int) -> bool:
        """Whether a record has the id and the length of the chunk that holes are cut into."""
        largest = self.params.max_size
        return length == largest and ident == zero_chunk_id(largest)

    def chunk_count(self) -> int:
        """The number of chunks, with repeats. Reads each distinct node."""
        known: dict[bytes, int] = {}

        def count(level: int, ident: bytes, length: int) -> int:
            if level == 0:
                return 1
            if ident not in known:
                records = self.node(NodeId(ident), level, length).records
                known[ident] = (
                    len(records) if level == 1 else sum(count(level - 1, *one) for one in records)
                )
            return known[ident]

        content = self.content
        return count(content.level, content.id, content.length) if content.length else 0

    def solid_bytes(self, content: Content | None = None) -> int:
        """Bytes that are not whole chunks of zeros: the disk space that the content needs.

        Args:
            content: The content; None for that of the manifest.
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


def _node_reader(
    plain: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]], loaded: dict[NodeId, bytes]
) -> Callable[[NodeId, int, int], Node]:
    def read(ident: NodeId, level: int, length: int) -> Node:
        """Reads a node of the outline. Used by one thread.

        Raises:
            NoObjectError, IntegrityError: The node is missing, or damaged.
        """
        data = loaded.pop(ident, None)
        if data is None:
            (data,) = plain(Kind.NODE, [ident])
        return _decoded(ident, data, level, length)

    return read


def open_outline(
    ident: ManifestId, source: ObjectSource, *, cached_nodes: int = CACHED_NODES
) -> Outline:
    """The outline of a manifest of `source`. Nodes are read lazily.

    Raises:
        NoObjectError: The source has no such manifest.
        IntegrityError: The manifest is damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    manifest = decode_manifest(ProvedReader(source).one(Kind.MANIFEST, ident))
    return Outline(ident, manifest, source, cached_nodes=cached_nodes)


def load_outline(outline: Outline, loader: ObjectLoader) -> None:
    """Fetches the nodes of an outline that the store of `loader` lacks.

    Raises:
        NoObjectError: No source has an object.
        IntegrityError: Every source that has an object sends other bytes.
        RemoteError: Requests to servers failed.
    """
    for reached in walk_nodes([outline.content], loader.plain, {}, strict=True):
        reached.check()
    loader.flush()


def _decoded(ident: NodeId, data: bytes, level: int, length: int) -> Node:
    try:
        return decode_node(data, level, length)
    except MalformedError as error:
        raise DamagedObjectError(f"node {ident.hex()}: {error.message}") from error


class ObjectLoader:
    """Loads objects from other sources into a store, and returns their proved plain bytes.

    Objects that are damaged in the store are replaced.

    Args:
        store: The store.
        others: The other sources, each with its place for messages.

    Attributes:
        store: The store.
    """

    def __init__(self, store: ObjectStore, others: Sequence[tuple[str, ObjectSource]]) -> None:
        self.store = store
        self._others = others
        self._unpacker = Unpacker()
        self._damaged: set[tuple[Kind, ObjectId]] = set()  # in the store
        self._new: dict[tuple[Kind, ObjectId], Verified] = {}  # not committed yet
        self._new_bytes = 0

    def plain(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bytes]:
        """The plain bytes of each object of one kind, in the order of `ids`.

        Raises:
            NoObjectError: No source has an object.
            IntegrityError, RemoteError: As `load_outline`.
        """
        new = [self._new[kind, ident] for ident in ids if (kind, ident) in self._new]
        found = {packed.id: self._unpacker.decode(packed) for packed in new}
        rest = [ident for ident in dict.fromkeys(ids) if ident not in found]
        failure: CasyncError | None = None
        damaged: dict[ObjectId, list[str]] = {}
        for place, source in ((HERE, self.store), *self._others):
            if not rest:
                break
            try:
                if source is self.store:
                    self.store.known(kind, rest)  # keeps a collection from deleting them
                for ident, answer in zip(rest, source.get(kind, rest), strict=False):
                    proved = prove(kind, ident, answer, self._unpacker)
                    if not isinstance(proved, Lost):
                        found[ident] = proved
                        if isinstance(answer, Packed) and source is not self.store:
                            self.keep(Verified(*answer))
                    elif proved.absence is Absence.BUSY:
                        failure = proved.error()
                    elif proved.absence is Absence.DAMAGED:
                        damaged.setdefault(ident, []).append(place)
                        if source is self.store:
                            self._damaged.add((kind, ident))
            except CasyncError as error:
                failure = error
            rest = [ident for ident in rest if ident not in found]
        if rest:
            if failure is not None:
                raise failure
            ident = next((ident for ident in rest if ident in damaged), rest[0])
            label = f"{kind.name.lower()} {ident.hex()}"
            if ident in damaged:
                raise damaged_at(label, damaged[ident])
            raise NoObjectError(f"no source has {label}", next_step=NO_SOURCE_STEP)
        return [found[ident] for ident in ids]

    def keep(self, verified: Verified) -> None:
        """Adds an object to the next commit."""
        self._new[verified.kind, verified.id] = verified
        self._new_bytes += len(verified.payload) + OBJECT_BYTES
        if self._new_bytes >= _COMMIT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Commits the objects that are not committed yet."""
        if self._new:
            mended = [self._new[key] for key in self._damaged & self._new.keys()]
            new = [self._new[key] for key in self._new.keys() - self._damaged]
            self.store.commit(Batch(objects=new, mended=mended))
            self._damaged.clear()
            self._new, self._new_bytes = {}, 0
