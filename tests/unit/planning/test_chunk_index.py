"""A chunk index finds chunks by id, and adjacent ones by number."""

from __future__ import annotations

from casync.ids import ChunkId, chunk_id
from casync.planning.chunk_index import ChunkIndex
from casync.planning.windows import Place


def test_chunks_are_found_at_their_first_place() -> None:
    index = ChunkIndex()
    a, b = chunk_id(b"a"), chunk_id(b"b")
    for offset, ident in ((0, a), (10, b), (2**62, a)):
        index.add(offset, ident, 5)
    assert len(index) == 3
    assert [index.find(ident) for ident in (a, b, chunk_id(b"c"))] == [0, 1, None]
    assert [index[number] for number in range(3)] == [
        Place(0, a, 5),
        Place(10, b, 5),
        Place(2**62, a, 5),
    ]


def test_ids_with_the_same_beginning_differ() -> None:
    index = ChunkIndex()
    index.add(3, ChunkId(bytes(range(32))), 1)
    index.add(4, ChunkId(bytes(range(8)) + bytes(24)), 1)
    assert index.find(ChunkId(bytes(range(32)))) == 0
    assert index.find(ChunkId(bytes(range(8)) + bytes(24))) is None  # only the first is found
