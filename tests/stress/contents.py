"""The inputs of a stress run, each generated from its number."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache
from typing import Final

__all__ = ["Contents"]

_BLOCK: Final = 96 << 10
_MOST_BLOCKS: Final = 20
_SHARED: Final = 48


class Contents:
    """Inputs by number, from some bytes to 2 MiB; half of the blocks of each are shared.

    Args:
        seed: Of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._shared = [self._noise(f"shared {number}", _BLOCK) for number in range(_SHARED)]
        self.digest = lru_cache(maxsize=None)(self._digest)

    def make(self, number: int) -> bytes:
        """The bytes of one input."""
        rng = random.Random(f"{self._seed} content {number}")
        parts: list[bytes] = []
        for _ in range(rng.randrange(_MOST_BLOCKS)):
            if rng.random() < 0.5:
                parts.append(rng.choice(self._shared))
            else:
                parts.append(rng.randbytes(_BLOCK))
        return b"".join(parts) + b"input %d" % number

    def _digest(self, number: int) -> bytes:
        return hashlib.sha256(self.make(number)).digest()

    def _noise(self, label: str, size: int) -> bytes:
        return random.Random(f"{self._seed} {label}").randbytes(size)
