"""A table of chunks gives back what was added, in order and by range."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from casync.fs.chunk_table import ChunkSection, ChunkTable
from casync.ids import ChunkId, chunk_id

Row = tuple[int, ChunkId, int]


def rows_of(rng: random.Random, count: int) -> list[Row]:
    """Chunks in order, with gaps between some of them."""
    rows: list[Row] = []
    offset = 0
    for number in range(count):
        offset += rng.choice([0, 0, 0, rng.randrange(1, 5000)])
        length = rng.randrange(1, 3000)
        rows.append((offset, chunk_id(number.to_bytes(4, "big")), length))
        offset += length
    return rows


@contextmanager
def filled(rows: list[Row]) -> Iterator[ChunkSection]:
    """A section between two others."""
    table = ChunkTable()
    before = table.section()
    before.add(7, chunk_id(b"before"), 7)
    before.flush()
    section = table.section()
    for row in rows:
        section.add(*row)
    section.flush()
    after = table.section()
    after.add(0, chunk_id(b"after"), 1000)
    after.flush()
    yield section
    table.close()


@given(st.integers(0, 10**9), st.sampled_from([0, 1, 2, 255, 256, 257, 1000]))
def test_ranges_give_the_chunks_that_brute_force_finds(seed: int, count: int) -> None:
    rng = random.Random(seed)
    rows = rows_of(rng, count)
    last = sum(rows[-1][::2]) if rows else 10
    edges = [edge for offset, _, length in rows for edge in (offset, offset + length)] or [0]
    with filled(rows) as table:
        for _ in range(20):
            start, end = sorted(
                rng.choice([rng.randrange(last + 10), rng.choice(edges)]) for _ in range(2)
            )
            overlap = [
                row for row in rows if start < end and row[0] < end and row[0] + row[2] > start
            ]
            found = list(table.between(start, end))
            assert found == overlap, (start, end)


@given(st.sampled_from([0, 1, 255, 256, 257, 600]))
def test_blocks_are_all_chunks_in_order(count: int) -> None:
    rows = rows_of(random.Random(count), count)
    with filled(rows) as table:
        found = [
            pair
            for block in table.blocks()
            for pair in zip(block.ids, block.offsets(), strict=True)
        ]
        assert found == [(ident, offset) for offset, ident, _ in rows]
        assert all(0 < len(block.ids) <= 256 for block in table.blocks())


def test_chunks_of_several_buffers_are_kept() -> None:
    rows = [(at, chunk_id(bytes([at % 256])), 1) for at in range(50_000)]
    with filled(rows) as table:
        assert list(table.between(0, 50_000)) == rows


def test_a_table_has_no_name_and_ends_with_its_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    table = ChunkTable()
    table.section()
    table.section()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert os.fstat(table._fd).st_nlink == 0
    table.close()
    table.close()
    assert len(os.listdir("/proc/self/fd")) == before
