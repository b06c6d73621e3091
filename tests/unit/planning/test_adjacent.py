"""Reading and writing adjacent chunks together changes only the number of calls."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.ids import Buffer, ChunkId, chunk_id
from casync.limits import MIB
from casync.planning.adjacent import FoundChunk, Joiner, read_places
from casync.planning.windows import Place


class Memory:
    """Bytes that record how often they are read and written."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.calls: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.calls.append((offset, length))
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        joined = b"".join(buffers)
        self.calls.append((offset, len(joined)))
        self.data[offset : offset + len(joined)] = joined


def read_all(memory: Memory, places: Sequence[Place]) -> list[FoundChunk]:
    return list(chain.from_iterable(read_places(memory.read, places)))


def place(memory: Memory, offset: int, length: int) -> Place:
    return Place(offset, chunk_id(memory.data[offset : offset + length]), length)


def test_adjacent_chunks_are_read_with_one_read() -> None:
    memory = Memory(random.Random(1).randbytes(10_000))
    places = [place(memory, at, 1000) for at in (2000, 3000, 4000, 6000, 7000, 1000)]
    found = read_all(memory, places)
    assert [where for where, _ in found] == places
    assert [bytes(plain or b"") for _, plain in found] == [
        memory.data[p.offset : p.offset + p.length] for p in places
    ]
    assert memory.calls == [(2000, 3000), (6000, 2000), (1000, 1000)]


def test_a_read_has_an_end() -> None:
    memory = Memory(bytes(4 * MIB))
    sizes = [600_000, 600_000, 3 * MIB - 2_000_000, 3 * MIB - 2_000_000, 5]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    places = [place(memory, *pair) for pair in zip(starts, sizes, strict=True)]
    assert all(plain is not None for _, plain in read_all(memory, places))
    assert all(length <= MIB or length in sizes for _, length in memory.calls)
    assert sum(length for _, length in memory.calls) == sum(sizes)


def test_other_bytes_and_short_reads_are_not_found() -> None:
    memory = Memory(b"abcdef")
    good, last = place(memory, 0, 3), place(memory, 3, 3)
    wrong = Place(3, chunk_id(b"xyz"), 3)
    short = Place(3, last.id, 4)  # the bytes match the id, but are fewer than the place says
    assert [plain for _, plain in read_all(memory, [good, wrong])] == [b"abc", None]
    assert [plain for _, plain in read_all(memory, [good, short])] == [b"abc", None]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.booleans()), max_size=20),
    st.binary(max_size=64),
)
def test_joined_writes_equal_single_writes(
    wanted: list[tuple[int, int, bool]], data: bytes
) -> None:
    memory = Memory(data)
    places = [
        Place(at, chunk_id(data[at : at + size]) if right else ChunkId(bytes(32)), size)
        for at, size, right in wanted
    ]
    alone = [plain for p in places for _, plain in read_all(memory, [p])]
    assert [plain for _, plain in read_all(memory, places)] == alone


def test_adjacent_chunks_are_written_with_one_write_and_reported() -> None:
    memory = Memory(bytes(20))
    told: list[int] = []
    with Joiner(memory.write, told.append) as joiner:
        for at, plain in ((2, b"ab"), (4, b"cd"), (6, b"e"), (10, b"fg"), (0, b"h")):
            joiner.write(at, plain)
    assert memory.calls == [(2, 5), (10, 2), (0, 1)]
    assert told == [5, 2, 1]
    assert memory.data == b"h\0abcde\0\0\0fg" + bytes(8)


def write_all(joiner: Joiner, pieces: Sequence[tuple[int, bytes]], error: Exception) -> None:
    with joiner:
        for at, plain in pieces:
            joiner.write(at, plain)
        raise error


def test_chunks_before_an_error_are_written() -> None:
    memory = Memory(bytes(4))
    with pytest.raises(KeyError):
        write_all(Joiner(memory.write, lambda _: None), [(1, b"ab")], KeyError())
    assert memory.data == b"\0ab\0"


def test_a_failed_write_is_not_retried() -> None:
    tries: list[int] = []

    def fail(offset: int, buffers: Sequence[Buffer]) -> None:
        tries.append(offset)
        raise OSError(5, "dying disk")

    with pytest.raises(OSError, match="dying disk"):
        write_all(Joiner(fail, lambda _: None), [(0, b"a"), (5, b"b")], KeyError())
    assert tries == [0]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (range(0), [(10, b"abcdef")]),
        (range(3, 8), [(10, b"abcdef")]),
        (range(12), [(12, b"cdef")]),
        (range(12, 14), [(10, b"ab"), (14, b"ef")]),
        (range(14, 40), [(10, b"abcd")]),
        (range(10, 16), []),
    ],
)
def test_what_is_there_is_counted_and_not_written(
    there: range, expected: list[tuple[int, bytes]]
) -> None:
    written: list[tuple[int, bytes]] = []
    counted: list[int] = []
    with Joiner(lambda at, parts: written.append((at, b"".join(parts))), counted.append) as joiner:
        joiner.write_around(there, 10, b"abcdef")
    assert written == expected
    assert sum(counted) == 6
