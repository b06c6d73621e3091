"""Uploads objects in segments, while a commit is tried as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Final, NamedTuple

from casync.bucket.keys import SessionPart, segment_key
from casync.bucket.run import SegmentSize
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES, SegmentHead, encode_segment_head
from casync.bucket.storage import ObjectStorage
from casync.errors import CasyncError
from casync.ids import Buffer, Kind
from casync.limits import BUCKET_SEGMENT_BYTES
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.rows import index_prefix

__all__ = ["NoSessionError", "NotUploadedError", "PlacedRecord", "SegmentUploads"]

_AT_ONCE: Final = 8
_CHUNKS: Final = index_prefix(Kind.CHUNK)


class NoSessionError(CasyncError):
    """The transaction writes, and no session is open yet."""


class NotUploadedError(CasyncError):
    """The transaction writes objects that are to be uploaded before it.

    Args:
        pending: The objects.
    """

    def __init__(self, pending: Pending) -> None:
        super().__init__("objects are not uploaded yet")
        self.pending = pending


class PlacedRecord(NamedTuple):
    """Where a record lies in the bucket."""

    segment: SegmentSize
    offset: int


class _NewSegment(NamedTuple):
    part: SessionPart
    data: bytes
    records: dict[bytes, PlacedRecord]


class SegmentUploads:
    """The segments of one commit. A try that follows uses what an earlier one has uploaded.

    Nothing protects what a session has uploaded when it has ended, so that is uploaded again.

    Args:
        storage: The bucket.
        store_id: The UUID of the store.
        next_part: Names a new segment.
        session: Says which session is open.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        store_id: bytes,
        next_part: Callable[[], SessionPart],
        session: Callable[[], bytes],
    ) -> None:
        self._storage = storage
        self._store_id = store_id
        self._next_part = next_part
        self._session = session
        self._placed: dict[bytes, PlacedRecord] = {}

    def place(self, pending: Pending) -> list[PlacedRecord]:
        """Where each record lies that was uploaded.

        Raises:
            NotUploadedError: One was not: no transaction waits for the bucket.
        """
        session = self._session()
        if not all(self._is_placed(key, session) for key in pending.keys):
            raise NotUploadedError(pending)
        return [self._placed[key] for key in pending.keys]

    def upload(self, pending: Pending) -> None:
        """Uploads records that were not, chunks apart from all others.

        Raises:
            NoSessionError: No session is open.
            CasyncError: The bucket failed.
        """
        session = self._session()
        new = [at for at, key in enumerate(pending.keys) if not self._is_placed(key, session)]
        made: list[_NewSegment] = []
        for of_nodes in (False, True):
            chosen = [at for at in new if (pending.keys[at][:1] == _CHUNKS) != of_nodes]
            groups = _groups(chosen, pending.sizes)
            made += [self._fill(pending, group, of_nodes=of_nodes) for group in groups]
        if len(made) == 1:
            self._upload(made[0])
        elif made:
            with ThreadPoolExecutor(min(_AT_ONCE, len(made))) as pool:
                list(pool.map(self._upload, made))

    def _is_placed(self, key: bytes, session: bytes) -> bool:
        placed = self._placed.get(key)
        return placed is not None and placed.segment.part.session == session

    def _fill(self, pending: Pending, group: Sequence[int], *, of_nodes: bool) -> _NewSegment:
        size = SEGMENT_HEAD_BYTES + sum(pending.sizes[at] for at in group)
        segment = SegmentSize(self._next_part(), size)
        offset, placed = SEGMENT_HEAD_BYTES, dict[bytes, PlacedRecord]()
        for at in group:
            placed[pending.keys[at]] = PlacedRecord(segment, offset)
            offset += pending.sizes[at]
        head = encode_segment_head(SegmentHead(segment.part, self._store_id, size, of_nodes))
        records: chain[Buffer] = chain.from_iterable(pending.records[at] for at in group)
        return _NewSegment(segment.part, b"".join((head, *records)), placed)

    def _upload(self, made: _NewSegment) -> None:
        self._storage.put(segment_key(made.part), made.data)
        self._placed |= made.records  # not before: the next try relies on what is placed


def _groups(places: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Splits records into segments: one that is too large has a segment to itself."""
    groups: list[list[int]] = []
    room = 0
    for at in places:
        if sizes[at] > room:
            groups.append([])
            room = BUCKET_SEGMENT_BYTES - SEGMENT_HEAD_BYTES
        groups[-1].append(at)
        room -= sizes[at]
    return groups
