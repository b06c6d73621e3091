"""Chunks of a static site: ranges of its segments, joined where they lie close together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, takewhile
from typing import Final

from casync.bucket.keys import segment_key
from casync.bucket.map import SegmentRow
from casync.bucket.spans import spans
from casync.errors import MalformedError
from casync.ids import Kind, ObjectId
from casync.limits import KIB, MIB
from casync.objects.codec import Packed
from casync.objects.record import RECORD_BYTES, decode_record
from casync.remote.site.open_map import ListedChunk
from casync.remote.site.read_ahead import ReadAhead
from casync.store.base import Absence

__all__ = ["SiteSegments"]

_GAP: Final = MIB
_USEFUL: Final = 6
_WASTE_BYTES: Final = 128 * KIB
"""What lies between two chunks is fetched rather than asking twice, if it is at most `_GAP`, and in
a window at most one `_USEFUL`th of what is wanted, or a little (docs/adr/0019)."""

_SPAN_BYTES: Final = 16 * MIB
_WINDOW_BYTES: Final = 16 * MIB
"""Bytes of chunks that are in memory at once, unless a single chunk is larger."""

_FEW_BYTES: Final = MIB
"""A segment of which no window wants more is read ahead: most of the content lies elsewhere."""

_KEPT_BYTES: Final = 96 * MIB
"""Bytes in memory that were read ahead."""


class SiteSegments:
    """Used by several threads at once.

    Args:
        read: Reads bytes of a file by its key, start and end; None if it is not there.
    """

    def __init__(self, read: Callable[[str, int, int], bytes | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._segments: dict[SegmentRow, ReadAhead] = {}  # the oldest first

    def chunks(
        self, ids: Sequence[ObjectId], placed: Mapping[bytes, ListedChunk]
    ) -> Iterator[list[Packed | Absence]]:
        """Chunks in the order of their ids, in lists as they come.

        Args:
            ids: The chunks.
            placed: Where they lie; those that are not in it are missing.

        Raises:
            CasyncError: What `read` raises.
        """
        start = size = 0
        for at, ident in enumerate(ids):
            stored = placed[ident].place.stored if ident in placed else 0
            if size + stored > _WINDOW_BYTES and at > start:
                yield from self._window(ids[start:at], placed)
                start, size = at, 0
            size += stored
        yield from self._window(ids[start:], placed)

    def _window(
        self, ids: Sequence[ObjectId], placed: Mapping[bytes, ListedChunk]
    ) -> Iterator[list[Packed | Absence]]:
        """The chunks of one window; each as soon as those before it are there, too."""
        segments: dict[SegmentRow, list[tuple[int, int, ObjectId]]] = {}
        come: dict[bytes, Packed | Absence] = {}
        for ident in dict.fromkeys(ids):
            if ident in placed:
                _, place, segment = placed[ident]
                segments.setdefault(segment, []).append((place.offset, place.end, ident))
            else:
                come[ident] = Absence.MISSING
        done = 0
        for segment, records in segments.items():
            for found in self._fetched(segment, sorted(records)):
                come |= found
                ready = list(takewhile(come.__contains__, islice(ids, done, None)))
                yield [come[ident] for ident in ready]
                done += len(ready)
        yield [come[ident] for ident in islice(ids, done, None)]

    def _fetched(
        self, segment: SegmentRow, records: Sequence[tuple[int, int, ObjectId]]
    ) -> Iterator[dict[bytes, Packed | Absence]]:
        """The chunks whose records lie there in a segment, in steps of one request."""
        done = 0
        total = sum(end - start for start, end, _ in records)
        reader = self._segment(segment)
        reader.is_bulk |= total >= _FEW_BYTES
        read: Callable[[int, int], bytes | None] = reader.read
        if reader.is_bulk:
            read = partial(self._read, segment_key(segment.part))
        ranges = [(start, end) for start, end, _ in records]
        waste = max(total // _USEFUL, _WASTE_BYTES)
        for start, end in spans(ranges, _GAP, most=_SPAN_BYTES, waste=waste):
            data = read(start, end)
            found: dict[bytes, Packed | Absence] = {}
            while done < len(records) and records[done][0] < end:
                offset, _, ident = records[done]
                done += 1
                if data is None:
                    found[ident] = Absence.MISSING
                else:
                    found[ident] = _record(ident, data, offset - start)
            yield found

    def _segment(self, row: SegmentRow) -> ReadAhead:
        """A segment; some are remembered, each with what was read ahead."""
        with self._lock:
            segment = self._segments.pop(row, None)
            if segment is None:
                segment = ReadAhead(partial(self._read, segment_key(row.part)), row.size)
            self._segments[row] = segment
            while sum(one.kept_bytes for one in self._segments.values()) > _KEPT_BYTES:
                del self._segments[next(iter(self._segments))]
        return segment


def _record(ident: ObjectId, data: bytes, offset: int) -> Packed | Absence:
    """The chunk whose record lies at `offset`, as far as its header says so."""
    try:
        record = decode_record(data, offset)
    except MalformedError:
        return Absence.DAMAGED
    payload = data[offset + RECORD_BYTES : record.end]
    if record.id != ident or record.kind != Kind.CHUNK or len(payload) != record.stored:
        return Absence.DAMAGED
    return Packed(Kind.CHUNK, ident, record.codec, record.length, payload)
