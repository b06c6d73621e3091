"""Wanted chunks are found by their ids, also among ids that were forged to look alike."""

from __future__ import annotations

import tracemalloc

import pytest

from casync.errors import MalformedError
from casync.ids import chunk_id
from casync.planning.wanted_chunks import WantedChunks


def ident(number: int) -> bytes:
    return chunk_id(number.to_bytes(4, "big"))


def sealed(*ids: bytes) -> WantedChunks:
    """Chunks of ten bytes."""
    chunks = WantedChunks()
    chunks.add(0, [(one, 10) for one in ids])
    chunks.seal()
    return chunks


def test_wanted_ids_are_found_among_others() -> None:
    chunks = sealed(*map(ident, range(5000)))
    others = [ident(number) for number in range(4990, 9000)]
    assert list(chunks.among(others)) == [(number, 4990 + number) for number in range(10)]


def test_a_repeat_has_the_index_of_its_first_place() -> None:
    chunks = sealed(ident(1), ident(2), ident(1), ident(3), ident(2), ident(1))
    assert list(chunks.first) == [0, 1, 0, 3, 1, 0]
    assert chunks.distinct == 3
    assert list(chunks.among([ident(3), ident(4), ident(1)])) == [(0, 3), (2, 0)]


def test_a_chunk_is_found_where_it_lies_and_nowhere_else() -> None:
    chunks = sealed(ident(1), ident(2), ident(1))
    assert chunks.at(20, ident(1)) == 2
    assert chunks.at(10, ident(1)) == chunks.at(15, ident(2)) == chunks.at(30, ident(2)) == -1


def test_nothing_is_found_among_none() -> None:
    chunks = WantedChunks()
    chunks.seal()
    assert list(chunks.among([ident(1)])) == []
    assert list(sealed(ident(1)).among([])) == []


def test_a_chunk_with_two_lengths_is_refused() -> None:
    chunks = WantedChunks()
    chunks.add(0, [(ident(1), 10), (ident(2), 10), (ident(1), 11)])
    with pytest.raises(MalformedError, match="two lengths"):
        chunks.seal()


def test_ids_that_begin_alike_are_told_apart() -> None:
    alike = [b"same" + ident(number)[4:] for number in range(6)]
    chunks = sealed(*alike, alike[3])
    assert list(chunks.first) == [*range(6), 3]
    assert list(chunks.among(alike[::-1])) == [(5 - number, number) for number in range(5, -1, -1)]


def test_many_forged_ids_that_begin_alike_take_no_time_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    look = WantedChunks._id

    def counted(self: WantedChunks, index: int) -> bytearray:
        looked.append(index)
        return look(self, index)

    monkeypatch.setattr(WantedChunks, "_id", counted)
    alike = [b"same" + ident(number)[4:] for number in range(3000)]
    chunks = sealed(*alike)
    assert len(list(chunks.among(alike))) < len(alike)
    assert len(looked) < 20 * len(alike)


def test_chunks_take_little_memory() -> None:
    records = [(ident(number), 10) for number in range(1 << 17)]
    tracemalloc.start()
    try:
        chunks = WantedChunks()
        for at in range(0, len(records), 1024):
            chunks.add(10 * at, records[at : at + 1024])
        chunks.seal()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150 * len(records)
