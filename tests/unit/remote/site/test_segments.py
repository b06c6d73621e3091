"""Chunks of a static site: which requests they take, on one thread and on several."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from casync.bucket.keys import SESSION_BYTES, SessionPart, segment_key
from casync.bucket.map import ChunkPlace, SegmentRow
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES
from casync.errors import UnreachableError
from casync.ids import ChunkId, Kind, ObjectId, chunk_id
from casync.limits import KIB
from casync.objects.codec import Codec, Packed
from casync.objects.record import encode_record
from casync.remote.site.open_map import ListedChunk
from casync.remote.site.segments import SiteSegments
from casync.store.base import Absence

CHUNK_BYTES = 16 * KIB


class Site:
    """Segments that count what is read of them.

    Args:
        sizes: The numbers of chunks of each segment.
        every: The map has one of so many chunks.
    """

    def __init__(self, sizes: Sequence[int], *, every: int = 1) -> None:
        chance = random.Random(8)
        self.read: list[int] = []
        self.ids: list[list[ObjectId]] = []
        self.placed: dict[bytes, ListedChunk] = {}
        self.files: dict[str, bytes] = {}
        self.fails = 0
        self.segments = SiteSegments(self._read)
        for number, count in enumerate(sizes):
            records, places = bytearray(SEGMENT_HEAD_BYTES), []
            for _ in range(count):
                plain = chance.randbytes(CHUNK_BYTES)
                ident = chunk_id(plain)
                places.append((ident, len(records)))
                records += encode_record(Kind.CHUNK, Codec.RAW, CHUNK_BYTES, ident, plain) + plain
            part = SessionPart(bytes([number]) * SESSION_BYTES, number)
            segment = SegmentRow(part, len(records))
            self.files[segment_key(part)] = bytes(records)
            for ident, offset in places[::every]:
                place = ChunkPlace(number, offset, CHUNK_BYTES)
                self.placed[ident] = ListedChunk(CHUNK_BYTES, place, segment)
            self.ids.append([ident for ident, _ in places[::every]])
            rows = [(offset, offset + 56 + CHUNK_BYTES) for _, offset in places[::every]]
            self.segments.lists(segment, rows)

    def _read(self, key: str, start: int, end: int) -> bytes:
        if self.fails:
            self.fails -= 1
            raise UnreachableError("no answer")
        self.read.append(end - start)
        return self.files[key][start:end]

    def get(self, ids: Sequence[ObjectId]) -> None:
        answers = [one for some in self.segments.chunks(ids, self.placed) for one in some]
        assert len(answers) == len(ids)
        for ident, answer in zip(ids, answers, strict=True):
            assert isinstance(answer, Packed)
            assert answer.id == ident == chunk_id(answer.payload)

    @property
    def bytes(self) -> int:
        return sum(self.read)


def batches(ids: Sequence[ObjectId], size: int) -> Iterable[Sequence[ObjectId]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def test_a_segment_that_is_read_in_a_row_takes_few_requests() -> None:
    site = Site([1000])
    for some in batches(site.ids[0], 20):
        site.get(some)
    assert len(site.read) <= 6
    assert site.bytes <= len(next(iter(site.files.values())))


def test_what_is_read_again_takes_a_request_for_each_window() -> None:
    """As a member of a compressed archive after the pass that made the index."""
    site = Site([1000])
    site.get(site.ids[0])
    first = len(site.read)
    for some in batches(site.ids[0][300:600], 100):
        site.get(some)
    assert len(site.read) == first + 3


def test_threads_that_share_segments_read_nothing_twice() -> None:
    site = Site([900, 150, 150])
    # Each batch needs much of the first segment, and a little of each of the others.
    mixed = [
        [*site.ids[0][at * 6 : at * 6 + 60], *site.ids[1][at : at + 10], *site.ids[2][at : at + 10]]
        for at in range(0, 150, 10)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(site.get, mixed))
    assert len(site.read) <= 14
    assert site.bytes <= sum(map(len, site.files.values()))


def test_a_single_chunk_is_read_alone() -> None:
    site = Site([1000])
    site.get(site.ids[0][500:501])
    assert site.bytes < CHUNK_BYTES + KIB


def test_chunks_that_are_scattered_are_read_as_they_are() -> None:
    site = Site([1000])
    chosen = site.ids[0][::50]
    random.Random(3).shuffle(chosen)
    for ident in chosen:
        site.get([ident])
    assert site.bytes <= 2 * len(chosen) * CHUNK_BYTES


def test_of_gaps_the_short_ones_are_read_as_far_as_they_do_not_matter() -> None:
    site = Site([1000], every=2)
    site.get(site.ids[0])
    assert site.bytes <= 1.16 * 500 * CHUNK_BYTES + 256 * KIB


def test_what_lies_in_many_segments_stays_within_bounds() -> None:
    site = Site([120] * 60)
    mixed = [[ident for ids in site.ids for ident in ids[at : at + 10]] for at in range(0, 120, 10)]
    for some in mixed:
        site.get(some)
    assert len(site.read) <= 4 * 60
    assert site.bytes <= 1.05 * sum(map(len, site.files.values()))


def test_chunks_that_no_map_places_are_missing() -> None:
    site = Site([10])
    ids = [site.ids[0][0], ChunkId(bytes(32)), site.ids[0][1]]
    answers = [one for some in site.segments.chunks(ids, site.placed) for one in some]
    assert [type(one) for one in answers] == [Packed, Absence, Packed]


def test_a_segment_that_was_cut_short_has_damaged_chunks() -> None:
    site = Site([10])
    key, data = site.files.popitem()
    site.files[key] = data[: len(data) // 2]
    answers = [one for some in site.segments.chunks(site.ids[0], site.placed) for one in some]
    assert isinstance(answers[0], Packed)
    assert answers[-1] is Absence.DAMAGED


def test_what_failed_is_read_again_when_it_is_asked_for_again() -> None:
    site = Site([50])
    site.fails = 1
    with pytest.raises(UnreachableError):
        site.get(site.ids[0])
    site.get(site.ids[0])
    assert len(site.read) == 1


def test_threads_that_wait_for_a_read_that_fails_fail_as_well() -> None:
    site = Site([50])
    begun, goes_on = threading.Event(), threading.Event()

    def read(key: str, start: int, end: int) -> bytes:
        begun.set()
        goes_on.wait()
        raise UnreachableError("no answer")

    site.segments = SiteSegments(read)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.get, site.ids[0])
        begun.wait()
        second = pool.submit(site.get, site.ids[0][10:])
        goes_on.set()
        for one in (first, second):
            with pytest.raises(UnreachableError):
                one.result()
