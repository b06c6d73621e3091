"""Inputs of a few MiB that resemble disk images, the same in every run."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["image", "noise", "updated"]

_WORDS: Final = b"the store holds chunks in segments and an index says where they are ".split()


def noise(seed: int, size: int) -> bytes:
    """Incompressible bytes."""
    return random.Random(seed).randbytes(size)


def image(seed: int, size: int) -> bytes:
    """About a quarter each of noise, text, zeros, and blocks that repeat."""
    rng = random.Random(seed)
    quarter = size // 4
    text = b" ".join(rng.choices(_WORDS, k=quarter // 4))[:quarter]
    block = rng.randbytes(100_000)
    repeats = (block * (quarter // len(block) + 1))[:quarter]
    return rng.randbytes(quarter) + bytes(quarter) + text + repeats + rng.randbytes(1000)


def updated(old: bytes, seed: int) -> bytes:
    """`old` after edits in place, an insertion, a removal and a move."""
    rng = random.Random(seed)
    new = bytearray(old)
    for _ in range(12):
        at = rng.randrange(len(new) - 4096)
        new[at : at + 4096] = rng.randbytes(4096)
    third = len(new) // 3
    moved = new[third : third + third // 4]
    del new[third : third + third // 4]
    new += moved
    at = rng.randrange(len(new))
    new[at:at] = rng.randbytes(70_001)
    return bytes(new)
