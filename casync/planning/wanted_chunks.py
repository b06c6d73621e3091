"""Wanted chunks in columns: 130 bytes for each, where objects and a dict take 200.

The first bytes of each id are in a set, so that one call sees that none of many ids is wanted, and
in a sorted column, which leads to the id itself. That decides.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise, repeat
from operator import lshift, or_
from typing import Final

from casync.errors import MalformedError
from casync.ids import ID_BYTES, Buffer

__all__ = ["WantedChunks"]

_HEADS: Final = ID_BYTES // 4
"""An id as numbers of four bytes; the first one is its head."""

_SHIFT: Final = 32
"""A key is a head, and below it an index of this many bits."""

_INDEX: Final = (1 << _SHIFT) - 1

_MOST_ALIKE: Final = 8
"""Distinct ids with one head that are looked at. Only a forged list has more."""


class WantedChunks:
    """Chunks of a target in order, which are added first, and found once they are sealed.

    Attributes:
        offsets: Where each belongs.
        lengths: Bytes of each.
        first: The index of the first place of each.
        distinct: How many there are, without repeats.
    """

    def __init__(self) -> None:
        self.offsets = array("Q")
        self.lengths = array("I")
        self.first = array("I")
        self.distinct = 0
        self._ids = bytearray()
        self._keys = array("Q")
        self._wanted_heads: set[int] = set()

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, offset: int, records: Iterable[tuple[bytes, int]]) -> None:
        """Adds chunks that lie end to end from an offset on; at least one."""
        ids, lengths = zip(*records, strict=True)
        self._ids += b"".join(ids)
        self.lengths.extend(lengths)
        self.offsets.extend(accumulate(lengths[:-1], initial=offset))

    def seal(self) -> None:
        """Ends the adding.

        Raises:
            MalformedError: A chunk is listed with two lengths.
        """
        count = len(self)
        heads = map(lshift, _heads(self._ids), repeat(_SHIFT))
        self._keys = array("Q", sorted(map(or_, heads, range(count))))
        self.first = array("I", range(count))
        again = [two for one, two in pairwise(self._keys) if one >> _SHIFT == two >> _SHIFT]
        for key in again:
            index = key & _INDEX
            first = self._find(key >> _SHIFT, self._id(index))
            if first < 0:
                continue
            self.first[index] = first
            if self.lengths[first] != self.lengths[index]:
                raise MalformedError(f"chunk {self._id(index).hex()} is listed with two lengths")
        if again:
            keys = (key for key in self._keys if self.first[key & _INDEX] == key & _INDEX)
            self._keys = array("Q", keys)
        self.distinct = len(self._keys)
        self._wanted_heads = set(_heads(self._ids))

    def among(self, ids: Sequence[bytes]) -> Iterator[tuple[int, int]]:
        """Finds which of other chunks are wanted.

        Yields:
            The position of each of those among `ids`, and the index of its first place.
        """
        heads = _heads(b"".join(ids)).tolist()
        if self._wanted_heads.isdisjoint(heads):
            return
        for position, head in enumerate(heads):
            if head in self._wanted_heads and (index := self._find(head, ids[position])) >= 0:
                yield position, index

    def at(self, offset: int, ident: bytes) -> int:
        """The index of a chunk at an offset; -1 if another one is there."""
        index = bisect_left(self.offsets, offset)
        is_there = index < len(self) and self.offsets[index] == offset
        return index if is_there and self._id(index) == ident else -1

    def _id(self, index: int) -> bytearray:
        return self._ids[index * ID_BYTES : (index + 1) * ID_BYTES]

    def _find(self, head: int, ident: Buffer) -> int:
        keys, low = self._keys, bisect_left(self._keys, head << _SHIFT)
        for at in range(low, min(low + _MOST_ALIKE, len(keys))):
            key = keys[at]
            if key >> _SHIFT != head:
                break
            if self._id(key & _INDEX) == ident:
                return key & _INDEX
        return -1


def _heads(ids: Buffer) -> memoryview:
    return memoryview(ids).cast("I")[::_HEADS]
