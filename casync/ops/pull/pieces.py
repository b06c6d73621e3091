"""Pieces of seeds: shares, reads, proves and writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, pairwise

from casync.ids import Buffer, chunk_ids
from casync.ops.pull.work import TargetWriter, Work
from casync.planning.adjacent import Joiner
from casync.planning.portions import CopyPiece, end_to_end
from casync.planning.windows import Place

__all__ = ["read_piece", "shared_pieces", "write_piece"]


def shared_pieces(work: Work, pieces: Sequence[CopyPiece]) -> Iterator[tuple[CopyPiece, range]]:
    """Passes pieces on, each with a range of the output that shares blocks with its seed."""
    share = work.share
    for together in end_to_end(pieces):
        shared = range(0)
        if share is not None:
            first, length = together[0], sum(piece.length for piece in together)
            shared = share(first.seed, first.source, first.offset, length)
        for piece in together:
            yield piece, shared


def read_piece(work: Work, output: TargetWriter, piece: CopyPiece, shared: range) -> Buffer:
    """The bytes that a piece is to have: what is shared from the output, others from its seed.

    Fewer than those where the seed ends.
    """
    start, stop = (
        min(max(at - piece.offset, 0), piece.length) for at in (shared.start, shared.stop)
    )
    read = partial(work.read_seed, piece.seed)
    if start == stop:
        return read(piece.source, piece.length)
    parts = [
        read(piece.source, start),
        output.read(piece.offset + start, stop - start),
        read(piece.source + stop, piece.length - stop),
    ]
    if sum(map(len, parts)) < piece.length:  # a gap between them would shift what follows
        return b""
    return b"".join(parts)


def write_piece(
    writer: Joiner, piece: CopyPiece, data: Buffer, shared: range = range(0)
) -> tuple[list[memoryview], list[Place]]:
    """Writes a piece; returns its chunks, and the places of those that were not there."""
    data = memoryview(data)
    ends = accumulate((length for _, length in piece.records), initial=0)
    plains = [data[start:end] for start, end in pairwise(ends)]
    found = chunk_ids(plains)
    if found == [ident for ident, _ in piece.records]:
        writer.write_around(shared, piece.offset, data)
        return plains, []
    right: list[memoryview] = []
    lost: list[Place] = []
    for ident, plain, place in zip(found, plains, piece.places, strict=True):
        if ident == place.id:
            writer.write_around(shared, place.offset, plain)
            right.append(plain)
        else:
            lost.append(place)
    return right, lost
