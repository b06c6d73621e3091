"""Law: the chunks of a stream do not depend on how it is split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.objects.chunker import ChunkerParams, Cutter, Pieces, Zeros
from tests.support import reference_chunker
from tests.support.byte_streams import params, streams


def whole(data: bytes, sizes: ChunkerParams) -> list[int]:
    cutter = Cutter(sizes)
    return cutter.feed(data).lengths + cutter.finish().lengths


def chunks_of(piece: Pieces | Zeros) -> list[bytes]:
    """The chunks of a piece, as bytes."""
    if isinstance(piece, Zeros):
        return [bytes(piece.length)] * piece.times
    found, position = [], 0
    for length in piece.lengths:
        found.append(bytes(piece.buffer[position : position + length]))
        position += length
    return found


@given(params, streams(), st.data())
def test_any_split_is_the_whole(sizes: ChunkerParams, data: bytes, draw: st.DataObject) -> None:
    at = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    cutter = Cutter(sizes)
    chunks = []
    for start, end in zip([0, *at], [*at, len(data)], strict=True):
        part = data[start:end]
        if not any(part) and draw.draw(st.booleans()):
            pieces = cutter.feed_zeros(len(part))
        else:
            pieces = iter([cutter.feed(part)])
        for piece in pieces:
            chunks += chunks_of(piece)
    chunks += chunks_of(cutter.finish())
    assert b"".join(chunks) == data
    assert [len(chunk) for chunk in chunks] == whole(data, sizes)


@given(streams(most=3000))
def test_byte_by_byte_is_the_whole(data: bytes) -> None:
    sizes = ChunkerParams(64, 256, 1024)
    cutter = Cutter(sizes)
    lengths = [length for byte in data for length in cutter.feed(bytes([byte])).lengths]
    assert lengths + cutter.finish().lengths == whole(data, sizes)


@given(params, streams(most=20_000))
def test_the_whole_is_what_the_document_says(sizes: ChunkerParams, data: bytes) -> None:
    expected = reference_chunker.cut(data, sizes.min_size, sizes.avg_size, sizes.max_size)
    assert whole(data, sizes) == expected
