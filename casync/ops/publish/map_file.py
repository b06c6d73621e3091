"""Makes the map of one manifest, and packs the chunks that the site lacks on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from shutil import copyfileobj
from typing import BinaryIO, NamedTuple

from casync.bucket.keys import SessionPart
from casync.bucket.map import (
    LOOSE,
    ChunkPlace,
    SegmentRow,
    encode_map_head,
    encode_part,
    loose_chunks,
)
from casync.errors import DamagedObjectError
from casync.ids import ID_BYTES, ChunkId, Kind, ManifestId
from casync.limits import MAX_BATCH_IDS, NODE_MAX_RECORDS
from casync.objects.below import Below, Reached
from casync.objects.manifest import decode_manifest
from casync.objects.node import Record, encode_records
from casync.ops.publish.member_indexes import PublishedIndexes
from casync.ops.publish.place_table import PlaceTable, SegmentPlace
from casync.ops.publish.segments import SegmentWriter
from casync.store.base import Absence, ObjectSource
from casync.store.proved import Lost, ProvedReader

__all__ = ["MapMaker"]


class _Listing(NamedTuple):
    """A node, or chunks that are whole contents.

    Attributes:
        level: The level of the node, or `LOOSE`.
        id: The id of the node, or zeros.
        data: The bytes of the node, or the list.
        chunks: The chunks that it lists.
    """

    level: int
    id: bytes
    data: bytes
    chunks: Sequence[Record]


class MapMaker:
    """Makes maps, one after the other. Used by one thread.

    Args:
        source: Has the manifests and all below them.
        table: The chunks that the site has; grows by those that are packed.
        segments: Packs the others.
        sizes: The bytes of the segments that the site has.
        tell: Called with the plain bytes that are listed.

    Attributes:
        chunks: Chunks that were packed.
        stored: Bytes of their payloads.
    """

    def __init__(
        self,
        source: ObjectSource,
        table: PlaceTable,
        segments: SegmentWriter,
        sizes: dict[SessionPart, int],
        tell: Callable[[int], object],
    ) -> None:
        self.chunks = self.stored = 0
        self._source = source
        self._table = table
        self._segments = segments
        self._sizes = sizes
        self._tell = tell

    def make(self, ident: ManifestId, out: BinaryIO) -> Collection[SessionPart]:
        """Writes the map of a manifest; the segments that it names, which are there on return.

        Raises:
            NoObjectError, IntegrityError: The source lacks an object, or it is damaged.
            CasyncError: A segment could not be put.
        """
        plain = ProvedReader(self._source)
        data = plain.one(Kind.MANIFEST, ident)
        manifest = decode_manifest(data)
        rows: dict[SessionPart, int] = {}
        parts: list[tuple[int, bytes, int]] = []
        with tempfile.TemporaryFile() as body:
            indexes = PublishedIndexes(self._source)
            below = Below(plain.plain, meet=indexes.meet)
            walks = chain(below.walk(manifest), indexes.walk(below.nodes))
            for batch in _batches(walks):
                places = self._places(batch)
                for level, node, listing, chunks in batch:
                    placed = [
                        ChunkPlace(rows.setdefault(part, len(rows)), offset, stored)
                        for part, offset, stored in (places[chunk.id] for chunk in chunks)
                    ]
                    packed = encode_part(listing, placed)
                    parts.append((level, node, len(packed)))
                    body.write(packed)
                    self._tell(sum(chunk.length for chunk in chunks))
            self._segments.finish()
            sizes = self._sizes | self._segments.sizes
            table = [SegmentRow(part, sizes[part]) for part in rows]
            out.write(encode_map_head(data, table, parts, indexes.found))
            body.seek(0)
            copyfileobj(body, out)
        return rows.keys()

    def _places(self, batch: Sequence[_Listing]) -> dict[bytes, SegmentPlace]:
        """The places of all chunks of a batch. Packs those that have none."""
        lengths = {chunk.id: chunk.length for listing in batch for chunk in listing.chunks}
        places = self._table.find(list(lengths))
        lacking = [ChunkId(ident) for ident in lengths if ident not in places]
        fresh: dict[bytes, SegmentPlace] = {}
        for ident, chunk in zip(lacking, self._source.get(Kind.CHUNK, lacking), strict=True):
            if isinstance(chunk, Absence):
                raise Lost(Kind.CHUNK, ident, chunk).error(DamagedObjectError)
            fresh[ident] = place = self._segments.add(chunk)
            self.chunks += 1
            self.stored += place.stored
        self._table.add(fresh.items())
        return places | fresh


def _batches(walk: Iterable[Reached]) -> Iterator[list[_Listing]]:
    """Nodes and single chunks, in batches of some chunks.

    Raises:
        NoObjectError, IntegrityError: One is missing or damaged.
    """
    batch: list[_Listing] = []
    count = 0
    for reached in walk:
        reached.check()
        if reached.id is not None and reached.node is not None:
            level, records = reached.node
            node = encode_records(level, records)
            batch.append(_Listing(level, reached.id, node, records if level == 1 else []))
        else:
            single = list(dict.fromkeys(reached.chunks))
            for start in range(0, len(single), NODE_MAX_RECORDS):
                some = single[start : start + NODE_MAX_RECORDS]
                batch.append(_Listing(LOOSE, bytes(ID_BYTES), loose_chunks(some), some))
        count += len(reached.chunks)
        if count >= MAX_BATCH_IDS or len(batch) >= MAX_BATCH_IDS:
            yield batch
            batch, count = [], 0
    yield batch
