"""Random bytes with random inserts, deletes and moves: synthetic, so the least relevant."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.corpora.corpus import MIB, Corpus

FULL_BYTES = 512 * MIB
EDITS = 400
LARGEST_EDIT = 64 * 1024
LARGEST_MOVE = 4 * MIB


def build(folder: Path, scale: float) -> None:
    """Writes both versions."""
    maker = random.Random(20260102)
    old = b"".join(maker.randbytes(MIB) for _ in range(max(round(FULL_BYTES * scale) // MIB, 1)))
    (folder / FILES[0]).write_bytes(old)
    (folder / FILES[1]).write_bytes(edit(old, maker, EDITS))


def edit(old: bytes, maker: random.Random, edits: int) -> bytes:
    """The new version: by turns an insert, a delete, a move of a piece to its neighbour's place."""
    places = sorted(maker.sample(range(len(old)), min(edits, len(old))))
    pieces: list[bytes] = []
    moved: bytes | None = None
    at = 0
    for number, place in enumerate(places):
        if place < at:
            continue
        pieces.append(old[at:place])
        at = place
        match number % 3:
            case 0:
                pieces.append(maker.randbytes(maker.randrange(1, LARGEST_EDIT)))
            case 1:
                at = min(at + maker.randrange(1, LARGEST_EDIT), len(old))
            case _ if moved is None:
                end = min(at + maker.randrange(1, LARGEST_MOVE), len(old))
                moved, at = old[at:end], end
            case _:
                pieces.append(moved)
                moved = None
    return b"".join([*pieces, old[at:], moved or b""])


FILES = ("before.bin", "after.bin")
EDITED = Corpus("edits", FILES, (("edits", FILES[0], FILES[1]),), build)
