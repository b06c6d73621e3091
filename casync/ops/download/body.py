"""The body of an object: cut, proved and written as it comes, whatever the number of attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from casync.cutting.serial import SerialCutting
from casync.ids import ChunkId, Kind
from casync.jobs.checksum import Checksum, Verifier, is_supported
from casync.jobs.half_fetched import HalfFetched
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Content
from casync.ops.download.writing import ContentWriter, SharedWriter
from casync.store.base import ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["ObjectBody", "Note"]

_HELD_BYTES: Final = MIB
"""Bytes of a body that are cut before they are looked up. Each connection holds as many."""

_ASKED: Final = 1024
"""Chunks of a half-fetched object that are looked up at once."""

Note = Callable[[Sequence[tuple[bytes, int]]], None]
"""Is told of chunks of a body that are safe while more of it is still to come."""


class ObjectBody:
    """The bytes of one object from its start. Used by one thread at a time.

    Args:
        writer: The writer of the job.
        params: Chunk sizes.
        validators: What the source said about the object.
        size: Its size in bytes; None if it is not known.
        checksums: What the bytes must match.
        note: See `Note`.

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
    ) -> None:
        self.validators = validators
        self.size = size
        self.position = 0
        self._turn = writer.cutting
        self._tells = note
        self._ends = False
        self._is_checked = any(map(is_supported, checksums))
        self._verifier = Verifier(tuple(checksums))
        self._content = ContentWriter(writer, self._note)
        self._cutting = SerialCutting(self._content, params, held=_HELD_BYTES)

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

    def feed(self, block: bytes) -> None:
        """Takes the next bytes.

        Raises:
            CasyncError: What the store raises.
        """
        with self._turn:
            self._verifier.update(block)
            self._cutting.feed(block)
        self.position += len(block)

    def settle(self) -> None:
        """Writes everything up to the last cut, and notes it. Raises as `feed`."""
        self._cutting.flush()

    def finish(self) -> Content:
        """Ends the body. By then the writer has everything below the content.

        Raises:
            DigestMismatchError: The bytes do not match a checksum.
            CasyncError: As `feed`.
        """
        self._ends = True
        self._verifier.finish()
        with self._turn:
            self._cutting.finish()
        return self._content.finish()

    def _note(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        if not self._ends:
            self._tells(chunks)
