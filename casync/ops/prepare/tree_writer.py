"""Writes files and folders of a tree into a store.

Most files of a tree are small. Their chunks are gathered, so that a hundred files cost one look-up
in the store. A folder's entries are content, too: they are cut as they come, so a folder need not
fit in memory.
"""

from __future__ import annotations

from typing import Final

from casync.access.progress import Progress
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.cut import cut
from casync.cutting.small import Chunks, cut_small, named
from casync.fs.source.base import Source
from casync.ids import Buffer, Kind, NodeId, ObjectId
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.codec import Packer
from casync.objects.node import Content, NodeBuilder
from casync.objects.tree import Entry, encode_entry

__all__ = ["TreeWriter", "FolderStream"]

_HELD_BYTES: Final = 4 * MIB
_HELD_CHUNKS: Final = 4096
"""Chunks that are gathered before a look-up in the store."""

_STREAM_BYTES: Final = 256 * 1024
"""Bytes of entries that are cut together."""


class TreeWriter:
    """Takes the content of any number of files. Used by one thread.

    Args:
        writer: Looks objects up in the store, and writes them.
        params: Chunk sizes.
        level: zstd level.
        workers: Processes that cut a large file.
        progress: Advances by every byte.

    Attributes:
        chunks: Chunks taken, including those of folders and repeats.
        new: Chunks that the store lacked.
    """

    def __init__(
        self,
        writer: BatchWriter,
        *,
        params: ChunkerParams,
        level: int,
        workers: int,
        progress: Progress,
    ) -> None:
        self.params = params
        self.chunks = 0
        self.new = 0
        self._writer = writer
        self._level = level
        self._workers = workers
        self._progress = progress
        self._packer = Packer(level, workers)
        self._plain: dict[ObjectId, Buffer] = {}
        self._held = 0

    def take(self, content: Chunks) -> Content:
        """Takes content that `cut_small` cut; returns its root.

        Raises:
            CasyncError: What the store raises, now or for earlier content.
        """
        builder = self.builder()
        self.add(builder, content)
        return builder.finish()

    def take_large(self, source: Source) -> Content:
        """Reads content that need not fit in memory.

        Raises:
            SourceChangedError: The source changed while it was read.
            CasyncError: The source cannot be read; what the store raises.
        """
        chunk_writer = ChunkWriter(
            self._writer, level=self._level, threads=self._workers, progress=self._progress
        )
        cut(source, chunk_writer, self.params, level=self._level, workers=self._workers)
        content = chunk_writer.finish()
        self.chunks += chunk_writer.chunks
        self.new += chunk_writer.new
        return content

    def flush(self) -> None:
        """Passes the gathered chunks to the writer.

        Raises:
            CasyncError: What the store raises.
        """
        plain, self._plain, self._held = self._plain, {}, 0
        if plain:
            self.new += self._put(Kind.CHUNK, plain)

    def builder(self) -> NodeBuilder:
        """A builder for content that comes in parts."""
        return NodeBuilder(self._node)

    def add(self, builder: NodeBuilder, content: Chunks) -> None:
        """Takes a part of the content of `builder`. Raises as `take`."""
        builder.extend([(ident, len(chunk)) for ident, chunk in content])
        self._plain.update(content)
        self._held += sum(len(chunk) for _, chunk in content)
        self.chunks += len(content)
        if self._held >= _HELD_BYTES or len(self._plain) >= _HELD_CHUNKS:
            self.flush()

    def _node(self, ident: NodeId, data: bytes) -> None:
        self._put(Kind.NODE, {ident: data})

    def _put(self, kind: Kind, plain: dict[ObjectId, Buffer]) -> int:
        new = self._writer.reserve(kind, plain)
        self._writer.put(self._packer.pack_batch(kind, [(i, plain[i]) for i in plain if i in new]))
        return len(new)


class FolderStream:
    """The entries of one folder, cut as they come."""

    def __init__(self, tree_writer: TreeWriter) -> None:
        self._tree_writer = tree_writer
        self._buffer = bytearray()
        self._cutter: Cutter | None = None
        self._builder = tree_writer.builder()

    def add(self, entry: Entry) -> None:
        """Takes the next entry.

        Raises:
            MalformedError: The format of trees does not allow the entry.
            CasyncError: What the store raises.
        """
        self._buffer += encode_entry(entry)
        if len(self._buffer) >= _STREAM_BYTES:
            self._cut()

    def finish(self) -> Content:
        """Ends the folder; returns its content. Raises as `add`."""
        if self._cutter is None:
            return self._tree_writer.take(cut_small(bytes(self._buffer), self._tree_writer.params))
        self._cut()
        self._tree_writer.add(self._builder, [*named(self._cutter.finish())])
        return self._builder.finish()

    def _cut(self) -> None:
        if self._cutter is None:
            self._cutter = Cutter(self._tree_writer.params)
        pieces = self._cutter.feed(bytes(self._buffer))
        self._buffer.clear()
        self._tree_writer.add(self._builder, [*named(pieces)])
