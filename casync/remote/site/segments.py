"""Chunks of a static site: ranges of its segments, each of which holds what lies close together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from casync.bucket.keys import segment_key
from casync.bucket.map import ChunkPlace, SegmentRow
from casync.errors import MalformedError
from casync.ids import Buffer, Kind, ObjectId
from casync.limits import MIB
from casync.objects.codec import Packed
from casync.objects.record import decode_record
from casync.remote.site.open_map import ListedChunk
from casync.remote.site.read_budget import ReadBudget
from casync.remote.site.segment_rows import SegmentRows, TakenRows
from casync.store.base import Absence

__all__ = ["SiteSegments"]

_SPAN_BYTES: Final = 8 * MIB
"""Bytes of one request, unless a single chunk is larger."""

_WINDOW_BYTES: Final = 16 * MIB
"""Bytes of chunks that are asked for at once; each thread may have as many in memory."""

_LIST_BYTES: Final = MIB
_STALE_TURNS: Final = 32
"""What none of so many windows has used is forgotten."""

_MOST_ROWS: Final = 1 << 19
"""Rows in memory: 10 MiB."""


class _Span:
    """Bytes of a segment in memory, or on their way.

    Attributes:
        start: Where they begin.
        end: Where they end.
        come: Is set when the bytes are there, or an error is.
        error: Why they do not come.
        data: The bytes.
        open: Where the rows begin that were not read yet.
        turn: The newest window that used it.
    """

    def __init__(self, rows: TakenRows, turn: int) -> None:
        self.start, self.end = rows.span
        self.come = threading.Event()
        self.error: BaseException | None = None
        self.data: Buffer = b""
        self.open = set(rows.starts)
        self.turn = turn

    def covers(self, place: ChunkPlace) -> bool:
        """Whether a record lies in it."""
        return self.start <= place.offset and place.end <= self.end

    def record(self, ident: ObjectId, start: int) -> Packed | Absence:
        """The chunk whose record begins there, as far as its header says so."""
        try:
            record = decode_record(self.data, start - self.start)
        except MalformedError:
            return Absence.DAMAGED
        payload = record.payload(self.data)
        if record.id != ident or record.kind != Kind.CHUNK or len(payload) != record.stored:
            return Absence.DAMAGED
        return Packed(Kind.CHUNK, ident, record.codec, record.length, payload)


class _Segment:
    """What is known of a segment.

    Attributes:
        rows: Its rows.
        spans: The spans of it in memory.
        asked: Bytes that were asked for.
        before: Of those, the ones before the newest window.
    """

    def __init__(self) -> None:
        self.rows = SegmentRows()
        self.spans: list[_Span] = []
        self.asked = self.before = 0


class SiteSegments:
    """Used by several threads at once.

    Args:
        read: Reads bytes of a file by its key, start and end.
    """

    def __init__(self, read: Callable[[str, int, int], Buffer]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._budget = ReadBudget()
        self._segments: dict[SegmentRow, _Segment] = {}  # the oldest first
        self._rows = 0
        self._turn = 0

    def lists(self, segment: SegmentRow, rows: Sequence[tuple[int, int]]) -> None:
        """Learns where records of chunks begin and end that may be asked for."""
        with self._lock:
            self._segment(segment).rows.add(rows)
            self._rows += len(rows)
            self._forget_rows()

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
        self._ask(placed[ident] for ident in ids if ident in placed)
        used: dict[SegmentRow, _Span] = {}
        ready: list[Packed | Absence] = []
        size = 0
        for ident in ids:
            if ident not in placed:
                ready.append(Absence.MISSING)
                continue
            _, place, segment = placed[ident]
            start = place.offset
            span = used.get(segment)
            if span is None or start < span.start or place.end > span.end:
                span = self._kept(segment, place)
                if span is None or not span.come.is_set() or size >= _LIST_BYTES:
                    yield ready  # before a wait
                    ready, size = [], 0
                used[segment] = span = span or self._fetched(segment, place)
                span.come.wait()
                if span.error is not None:
                    raise span.error
            ready.append(span.record(ident, start))
            size += place.stored
            span.open.discard(start)
            if not span.open:
                del used[segment]
                self._drop(segment, span)
        yield ready

    def _ask(self, chunks: Iterable[ListedChunk]) -> None:
        """Begins a window."""
        asked: dict[SegmentRow, list[tuple[int, int]]] = {}
        for _, place, row in chunks:
            asked.setdefault(row, []).append((place.offset, place.end))
        with self._lock:
            self._turn += 1
            for row, rows in asked.items():
                segment = self._segment(row)
                known = len(segment.rows)
                fresh = segment.rows.ask(sorted(rows))
                self._forget_used(segment, {start for start, _ in rows}.difference(dict(fresh)))
                self._rows += len(segment.rows) - known
                segment.before = segment.asked
                segment.asked += self._budget.ask(fresh)
                for span in segment.spans:
                    self._budget.idle -= sum(
                        end - start for start, end in fresh if start in span.open
                    )
            for segment in self._segments.values():
                for span in [one for one in segment.spans if one.turn < self._turn - _STALE_TURNS]:
                    segment.spans.remove(span)
                    self._budget.waste(segment.rows.unasked(span.open))
                    segment.rows.release(span.open)
            self._forget_rows()

    def _forget_used(self, segment: _Segment, starts: set[int]) -> None:
        """Releases rows that are asked for again and are no longer in memory."""
        for span in segment.spans:
            starts = {start for start in starts if not span.start <= start < span.end}
        segment.rows.release(starts)

    def _kept(self, row: SegmentRow, place: ChunkPlace) -> _Span | None:
        """The span in memory, or on its way, that has a record."""
        with self._lock:
            spans = self._segment(row).spans
            found = next((span for span in spans if span.covers(place)), None)
            if found is not None:
                found.turn = self._turn
            return found

    def _fetched(self, row: SegmentRow, place: ChunkPlace) -> _Span:
        """A span that has a record, fetched now unless another thread does so."""
        with self._lock:
            segment = self._segment(row)
            for span in segment.spans:
                if span.covers(place):
                    return span
            segment.rows.ask([(place.offset, place.end)])
            is_dense = segment.rows.is_dense()
            taken = segment.rows.take(
                place.offset,
                gap=self._budget.gap(),
                ahead=self._budget.ahead(segment.before) if is_dense else 0,
                most=_SPAN_BYTES,
            )
            self._budget.idle += taken.ahead
            span = _Span(taken, self._turn)
            segment.spans.append(span)
        try:
            span.data = self._read(segment_key(row.part), span.start, span.end)
        except BaseException as error:
            with self._lock:
                if span in segment.spans:
                    segment.spans.remove(span)
                self._budget.idle -= segment.rows.unasked(span.open)
                segment.rows.release(span.open)
            span.error = error
            span.come.set()
            raise
        span.come.set()
        return span

    def _drop(self, row: SegmentRow, span: _Span) -> None:
        """Forgets a span of which all was read."""
        with self._lock:
            spans = self._segment(row).spans
            if span in spans:
                spans.remove(span)

    def _segment(self, row: SegmentRow) -> _Segment:
        """What is known of a segment, which is the newest now."""
        segment = self._segments.pop(row, None) or _Segment()
        self._segments[row] = segment
        return segment

    def _forget_rows(self) -> None:
        """Forgets the rows of segments that were not used for longest."""
        if self._rows <= _MOST_ROWS:
            return
        for row, segment in list(self._segments.items()):
            if not segment.spans and self._rows > _MOST_ROWS // 2:
                self._rows -= len(segment.rows)
                del self._segments[row]
