"""Concatenation: many files end to end, addressed by one offset, as the content of a folder.

A file takes its name and some 32 bytes, however deep it lies, so there may be millions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from casync.fs.path_table import PathTable

__all__ = ["Concatenation", "FilePart"]


class FilePart(NamedTuple):
    """A part of one file of a concatenation.

    Attributes:
        path: The file's path.
        start: Where the file begins in the concatenation, in bytes.
        offset: Where the part begins in the file, in bytes.
        length: Bytes of the part.
    """

    path: bytes
    start: int
    offset: int
    length: int


class Concatenation:
    """Files end to end. One thread may add while others read.

    Attributes:
        length: Bytes of all files together; at most 2^63.
    """

    def __init__(self) -> None:
        self.length = 0
        self._starts = array("Q")
        self._numbers = array("Q")
        self._paths = PathTable()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, path: bytes, length: int) -> int:
        """Appends a file that is not empty; returns its offset."""
        start = self.length
        self._numbers.append(self._paths.add(path))
        self.length += length
        self._starts.append(start)  # last: this makes the file visible to other threads
        return start

    def path(self, index: int) -> bytes:
        """The path of the file that was added at `index`, counted from 0."""
        return self._paths[self._numbers[index]]

    def parts(self, offset: int, length: int) -> Iterator[FilePart]:
        """The parts of files that cover a range."""
        number = bisect_right(self._starts, offset) - 1
        end = offset + length
        while offset < end:
            start, finish = self._bounds(number)
            count = min(end, finish) - offset
            yield FilePart(self.path(number), start, offset - start, count)
            offset += count
            number += 1

    def _bounds(self, number: int) -> tuple[int, int]:
        starts = self._starts
        last = number + 1 >= len(starts)
        return starts[number], self.length if last else starts[number + 1]
