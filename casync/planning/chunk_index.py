"""Chunk index: which chunk lies where in local old versions.

An index is a hint: files change at any time, so a chunk counts as found only when its bytes have
been hashed. The index finds the first place of a chunk, and the chunks before and after it.
"""

from __future__ import annotations

from array import array
from typing import Final

from casync.ids import ID_BYTES, ChunkId
from casync.planning.windows import Place

__all__ = ["ChunkIndex"]

_KEY_BYTES: Final = 8
"""Bytes of an id that serve as its key; of two ids with the same key the first is found."""


class ChunkIndex:
    """Chunks of old versions, numbered from 0 in the order in which they are added.

    A chunk takes about 170 bytes: 44 in arrays, the rest for the look-up.
    """

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._lengths = array("L")
        self._ids = bytearray()
        self._numbers: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> Place:
        """The place of a chunk."""
        ident = bytes(self._ids[number * ID_BYTES : (number + 1) * ID_BYTES])
        return Place(self._offsets[number], ChunkId(ident), self._lengths[number])

    def length(self, number: int) -> int:
        """The length of a chunk, in bytes."""
        return self._lengths[number]

    def add(self, offset: int, ident: ChunkId, length: int) -> None:
        """Appends a chunk."""
        self._numbers.setdefault(_key(ident), len(self._offsets))
        self._offsets.append(offset)
        self._lengths.append(length)
        self._ids += ident

    def find(self, ident: ChunkId) -> int | None:
        """The number of the first chunk with this id, or None."""
        number = self._numbers.get(_key(ident))
        if number is None or not self._ids.startswith(ident, number * ID_BYTES):
            return None
        return number


def _key(ident: ChunkId) -> int:
    return int.from_bytes(ident[:_KEY_BYTES], "little")
