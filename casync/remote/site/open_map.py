"""One map of a static site, which is read as far as it is needed.

The first request shows all parts. Nodes are fetched with their parts, which say where the chunks
lie; a client asks for chunks in the order of the content, so the parts are gone through in order
as well. Chunks whose node was not asked for, because the client has it, are searched in the rest.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from casync.bucket.map import (
    MAP_HEADER_BYTES,
    ChunkPlace,
    MapPart,
    PlacedPart,
    SegmentRow,
    decode_head_part,
    decode_map_header,
    decode_part,
)
from casync.bucket.spans import spans
from casync.errors import MalformedError
from casync.limits import KIB, MIB

__all__ = ["ListedChunk", "OpenMap"]

_FIRST_BYTES: Final = 64 * KIB
"""Bytes of the first request: the parts of some 2 GiB at the default chunk size."""

_GAP: Final = 128 * KIB
"""Parts that are fetched rather than asking twice: those of 50 MB of content."""

_SPAN_BYTES: Final = 4 * MIB
_KEPT_BYTES: Final = 16 * MIB
"""Packed parts in memory: those of some 400 000 chunks."""

_LISTED_PARTS: Final = 64
_KEPT_PLACES: Final = 1 << 16
"""Places of chunks in memory: some 20 MiB."""


class ListedChunk(NamedTuple):
    """A chunk as a map lists it: its plain bytes, its place, and the segment that it lies in."""

    length: int
    place: ChunkPlace
    segment: SegmentRow


class OpenMap:
    """Used by several threads at once.

    Args:
        read: Reads bytes of the map by start and end; fewer at its end.
        lists: Called with each segment that a part lists chunks of, and where their records begin
            and end; once for each part that is read.

    Attributes:
        length: The bytes of the map, as it says itself.
        manifest: The bytes of the manifest, not compared with its id.
        segments: The segments of the map.
        indexes: The member indexes of archives, by the ids of their contents.

    Raises:
        MalformedError, UnsupportedError: It is not a map that this program reads.
        CasyncError: What `read` raises.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        lists: Callable[[SegmentRow, Sequence[tuple[int, int]]], object] = lambda *_: None,
    ) -> None:
        self._read = read
        self._lists_places = lists
        self._begin = read(0, _FIRST_BYTES)
        header = decode_map_header(self._begin)
        self.length = header.total
        head = self._bytes(MAP_HEADER_BYTES, MAP_HEADER_BYTES + header.head_bytes)
        self.manifest, self.segments, self._parts, self.indexes = decode_head_part(header, head)
        self._numbers = {part.id: at for at, part in enumerate(self._parts) if part.level}
        self._told = bytearray(len(self._parts))
        self._lists = [at for at, part in enumerate(self._parts) if part.level <= 1]
        self._lock = threading.RLock()
        self._packed: OrderedDict[int, bytes] = OrderedDict()
        self._packed_bytes = 0
        self._listed: OrderedDict[int, Sequence[bytes]] = OrderedDict()
        self._places: dict[bytes, tuple[int, ListedChunk]] = {}
        self._next = 0  # the part to look into next

    def nodes(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The bytes of those nodes that the map has.

        Raises:
            MalformedError: The map is damaged.
            CasyncError: What `read` raises.
        """
        numbers = {ident: self._numbers[ident] for ident in ids if ident in self._numbers}
        packed = self._load(numbers.values())
        found: dict[bytes, bytes] = {}
        for ident, at in numbers.items():
            part = self._decoded(at, packed[at])
            found[ident] = part.node
            with self._lock:
                if part.places and at not in self._listed and len(self._places) < _KEPT_PLACES:
                    self._keep_places(at, part)
        return found

    def places(self, ids: Sequence[bytes]) -> dict[bytes, ListedChunk]:
        """Those chunks that the map has.

        Raises:
            MalformedError: The map is damaged.
            CasyncError: What `read` raises.
        """
        found: dict[bytes, ListedChunk] = {}
        with self._lock:
            missing = self._take(ids, found)
            for number in self._search() if missing else ():
                self._list(number)
                missing = self._take(missing, found)
                if not missing:
                    self._next = number
                    break
        return found

    def segment(self, place: ChunkPlace) -> SegmentRow:
        """The segment that a chunk lies in."""
        return self.segments[place.segment]

    def listed(self, passed: set[bytes]) -> Iterator[list[tuple[bytes, ListedChunk]]]:
        """All chunks that the map has, in batches.

        Args:
            passed: Ids of nodes to pass over; grows by those of this map.

        Raises:
            MalformedError: The map is damaged.
            CasyncError: What `read` raises.
        """
        numbers = [at for at in self._lists if self._parts[at].id not in passed]
        passed.update(ident for ident in self._numbers)
        for start in range(0, len(numbers), _LISTED_PARTS):
            some = numbers[start : start + _LISTED_PARTS]
            packed = self._load(some)
            batch: list[tuple[bytes, ListedChunk]] = []
            for number in some:
                part = self._decoded(number, packed[number])
                for (ident, length), place in zip(part.records, part.places, strict=True):
                    batch.append((ident, ListedChunk(length, place, self.segments[place.segment])))
            yield batch

    def _take(self, ids: Iterable[bytes], found: dict[bytes, ListedChunk]) -> list[bytes]:
        """Adds the known chunks to `found`; the ids of the others."""
        missing = []
        for ident in ids:
            if ident in self._places:
                _, found[ident] = self._places[ident]
            else:
                missing.append(ident)
        return missing

    def _search(self) -> Iterator[int]:
        """The parts that list chunks: first those in memory, then, fetched by and by, the rest.

        Both from where the last search ended, since threads ask for chunks in order, but for a few
        portions.
        """
        here = [at for at in self._packed if at not in self._listed]
        yield from sorted(here, key=lambda at: abs(at - self._next))
        passed = {*self._listed, *here}
        start = bisect_left(self._lists, self._next)
        batch: list[int] = []
        size = 0
        for place in chain(range(start, len(self._lists)), range(start)):
            number = self._lists[place]
            if number not in passed:
                batch.append(number)
                size += self._parts[number].size
            if size >= MIB:
                yield from self._loaded(batch)
                batch, size = [], 0
        yield from self._loaded(batch)

    def _loaded(self, numbers: list[int]) -> Iterator[int]:
        """Passes parts on, once they are in memory."""
        self._load(numbers)
        yield from numbers

    def _list(self, number: int) -> None:
        """Makes the places of a part known, and forgets the oldest ones."""
        packed = self._load([number])[number]
        self._keep_places(number, self._decoded(number, packed))

    def _keep_places(self, number: int, part: PlacedPart) -> None:
        for (ident, length), place in zip(part.records, part.places, strict=True):
            self._places[ident] = number, ListedChunk(length, place, self.segments[place.segment])
        self._listed[number] = [ident for ident, _ in part.records]
        while len(self._places) > _KEPT_PLACES and len(self._listed) > 1:
            oldest, forgotten = self._listed.popitem(last=False)
            for ident in forgotten:
                if self._places.get(ident, (number,))[0] == oldest:
                    del self._places[ident]

    def _decoded(self, number: int, packed: bytes) -> PlacedPart:
        part = decode_part(packed, self._parts[number].level, self.segments)
        if not self._told[number]:
            self._told[number] = True
            rows: dict[int, list[tuple[int, int]]] = {}
            for place in part.places:
                rows.setdefault(place.segment, []).append((place.offset, place.end))
            for segment, listed in rows.items():
                self._lists_places(self.segments[segment], listed)
        return part

    def _load(self, numbers: Collection[int]) -> dict[int, bytes]:
        """The bytes of parts, fetched where they are not in memory."""
        with self._lock:
            loaded = {at: self._packed[at] for at in numbers if at in self._packed}
        absent = sorted(set(numbers) - set(loaded))
        ranges = [(part.offset, part.offset + part.size) for part in map(self._part, absent)]
        wanted = iter(absent)
        at = next(wanted, None)
        for start, end in spans(ranges, _GAP, most=_SPAN_BYTES):
            data = self._bytes(start, end)
            while at is not None and self._parts[at].offset < end:
                part = self._parts[at]
                loaded[at] = data[part.offset - start : part.offset - start + part.size]
                at = next(wanted, None)
        self._keep({at: loaded[at] for at in absent})
        return loaded

    def _part(self, number: int) -> MapPart:
        return self._parts[number]

    def _keep(self, packed: dict[int, bytes]) -> None:
        with self._lock:
            for number, data in packed.items():
                if self._parts[number].level <= 1 and number not in self._packed:
                    self._packed[number] = data
                    self._packed_bytes += len(data)
            while self._packed_bytes > _KEPT_BYTES and len(self._packed) > 1:
                _, data = self._packed.popitem(last=False)
                self._packed_bytes -= len(data)

    def _bytes(self, start: int, end: int) -> bytes:
        """Bytes of the map, of which the first ones were read at once.

        Raises:
            MalformedError: The map is shorter than it says.
        """
        begun = self._begin[start:end]
        if start + len(begun) < end:
            begun += self._read(start + len(begun), end)
        if len(begun) != end - start:
            raise MalformedError("map that is shorter than it says")
        return begun
