"""What a rebuild needs to know, and where it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from casync.access.keeper import Keeper
from casync.access.supply import Supply
from casync.ids import Buffer
from casync.ops.pull.in_place import MovedRanges
from casync.planning.portions import Portion

__all__ = ["Nowhere", "TargetWriter", "Work"]


class TargetWriter(Protocol):
    """The output of a rebuild.

    Attributes:
        resumed: Bytes in it may be right already; they are read and hashed first, unless it is
            the target among the seeds, whose bytes the plan knows.
        readable: Written bytes can be read back.
        discards: It drops the bytes; only the keeper takes them.
    """

    resumed: bool
    readable: bool
    discards: bool

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        ...

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on. Called by several threads."""
        ...

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros."""
        ...

    def settle(self, end: int) -> None:
        """Marks everything before `end` as written. Called in order by one thread."""
        ...


class Nowhere:
    """The output of a pull into the store only: it drops the bytes."""

    resumed = False
    readable = False
    discards = True

    def read(self, offset: int, length: int) -> bytes:
        """Returns nothing."""
        return b""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Drops the bytes."""

    def zero(self, offset: int, length: int) -> None:
        """Drops the zeros."""

    def settle(self, end: int) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be rebuilt, and from what.

    Attributes:
        portions: The plan.
        length: Plain bytes of the content.
        hole: Bytes of the chunks that holes are cut into.
        part: Names a part of the content (offset, length) in messages.
        read_seed: Reads bytes of a seed (number, offset, length).
        share: Makes a range of the output share blocks with a seed (number, offset there, offset,
            length), as far as that is possible; returns the range of the output that does.
        supplies: The sources of chunks that the plan does not take from seeds, the cheapest first.
        keeper: Stores every chunk, if given.
        kept_label: The source's label for bytes that are in place already.
        target: The number of the seed that the output overwrites; None if it is another file.
        moved: Ranges of that seed that have moved to their places.
    """

    portions: Iterable[Portion]
    length: int
    hole: int
    part: Callable[[int, int], str]
    read_seed: Callable[[int, int, int], bytes]
    supplies: Sequence[Supply]
    share: Callable[[int, int, int, int], range] | None = None
    keeper: Keeper | None = None
    kept_label: str = ""
    target: int | None = None
    moved: MovedRanges = field(default_factory=MovedRanges)
