"""The body of an object: cut, proved and written as it comes, whatever the number of attempts.

Its bytes are read into one buffer, and cut where they lie. The buffer is used again for those that
follow, so a large object costs no memory and no copies beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from casync.cutting.small import named
from casync.ids import Buffer, ChunkId, Kind
from casync.jobs.checksum import Checksum, Verifier, is_supported
from casync.jobs.half_fetched import HalfFetched
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.node import Content
from casync.ops.download.writing import ContentWriter, SharedWriter
from casync.store.base import ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["BodyBuffers", "Note", "ObjectBody"]

_CUT_BYTES: Final = MIB
"""Bytes of a body that are cut at once. Each connection holds as many."""

_ASKED: Final = 1024
"""Chunks of a half-fetched object that are looked up at once."""

Note = Callable[[Sequence[tuple[bytes, int]]], None]
"""Is told of chunks of a body that are safe while more of it is still to come."""


class BodyBuffers:
    """Buffers of bodies. Each is used again: touching new memory costs as much as filling it.

    Args:
        params: Chunk sizes.
    """

    def __init__(self, params: ChunkerParams) -> None:
        self._size = max(_CUT_BYTES, 2 * params.max_size)
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """A buffer with room for two of the largest chunks, so that a full one has a cut."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(bytearray(self._size))

    def give_back(self, buffer: memoryview) -> None:
        """Takes a buffer that is not used any more."""
        self._free.append(buffer)


class ObjectBody:
    """The bytes of one object from its start. Used by one thread at a time.

    Args:
        writer: The writer of the job.
        params: Chunk sizes.
        validators: What the source said about the object.
        size: Its size in bytes; None if it is not known.
        checksums: What the bytes must match.
        note: See `Note`.
        buffers: Buffers of bodies.

    Attributes:
        position: Bytes that were taken.
    """

    def __init__(
        self,
        writer: SharedWriter,
        params: ChunkerParams,
        validators: Validators,
        size: int | None,
        checksums: Sequence[Checksum],
        note: Note,
        buffers: BodyBuffers,
    ) -> None:
        self.validators = validators
        self.size = size
        self.position = 0
        self._turn = writer.cutting
        self._tells = note
        self._ends = False
        self._is_checked = any(map(is_supported, checksums))
        self._verifier = Verifier(tuple(checksums))
        self._params = params
        self._content = ContentWriter(writer, self._note)
        self._buffers = buffers
        self._buffer = buffers.take()
        self._filled = 0

    def resume(self, half: HalfFetched, store: ObjectStore) -> bool:
        """Takes the chunks that an earlier run left. Returns False if the store lacks one of them.

        The body is of no use then. Chunks that are found stay for as long as the store is open.

        Raises:
            CasyncError: The store failed.
        """
        reader = ProvedReader(store)
        chunks = half.chunks
        while block := list(islice(chunks, _ASKED)):
            ids = [ident for ident, _ in block]
            if not all(store.known(Kind.CHUNK, ids)) or not self._reread(reader, ids):
                return False
            self._content.again(block)
            self.position += sum(length for _, length in block)
        return True

    def _reread(self, reader: ProvedReader, ids: Sequence[ChunkId]) -> bool:
        """Reads chunks again whose bytes a checksum needs. Returns False if one is damaged."""
        if not self._is_checked:
            return True
        for data in reader.found(Kind.CHUNK, ids):
            if data is None:
                return False
            self._verifier.update(data)
        return True

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty. Tell `took` how many came.

        Raises:
            CasyncError: What the store raises, for bytes before.
        """
        if self._filled == len(self._buffer):
            self._cut()
        return self._buffer[self._filled :]

    def took(self, count: int) -> None:
        """Takes bytes that came into `room`."""
        if self._is_checked:
            with self._turn:
                self._verifier.update(self._buffer[self._filled : self._filled + count])
        self._filled += count
        self.position += count

    def feed(self, block: Buffer) -> None:
        """Takes the next bytes by copying them. Raises as `room`."""
        left = memoryview(block)
        while left:
            room = self.room()
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.took(count)
            left = left[count:]

    def settle(self) -> None:
        """Writes everything up to the last cut, and notes it. Raises as `room`."""
        self._cut()

    def finish(self) -> Content:
        """Ends the body. By then the writer has everything below the content.

        Raises:
            DigestMismatchError: The bytes do not match a checksum.
            CasyncError: As `room`.
        """
        self._ends = True
        self._verifier.finish()
        self._cut(final=True)
        self._buffers.give_back(self._buffer)
        return self._content.finish()

    def _cut(self, *, final: bool = False) -> None:
        """Cuts and writes what is in the buffer; moves what follows the last cut to its start."""
        filled, self._filled = self._filled, 0
        with self._turn:
            cutter = Cutter(self._params)
            data = self._buffer[:filled]
            pieces = cutter.finish(data) if final else cutter.feed(data)
            self._content.take([*named(pieces)])
        rest = filled - sum(pieces.lengths)
        self._buffer[:rest] = self._buffer[filled - rest : filled]
        self._filled = rest

    def _note(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        if not self._ends:
            self._tells(chunks)
