"""Stretches: where the bytes of a target come from, worked out before any byte moves.

A plan is the stretches of a target in order, end to end. Their number follows what changed, not
the size of the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

__all__ = ["REPEAT", "STILL_ZERO", "WANTED", "ZERO", "Stretch", "joined"]

ZERO: Final = -1
WANTED: Final = -2
REPEAT: Final = -3
STILL_ZERO: Final = -4

_NOWHERE: Final = frozenset({ZERO, STILL_ZERO, WANTED})


class Stretch(msgspec.Struct, gc=False):
    """A stretch of the target that comes from one place.

    Attributes:
        offset: Where it begins in the target, in bytes.
        length: Its bytes.
        origin: The number of a seed; or `ZERO`; or `STILL_ZERO`, zeros that the target that is
            overwritten has there, too; or `REPEAT`, an earlier stretch of the target; or `WANTED`:
            neither seeds nor the target have it.
        source: Where it begins in the seed, or in the target; 0 for others.
    """

    offset: int
    length: int
    origin: int
    source: int = 0

    def goes_on(self, other: Stretch) -> bool:
        """Whether `other` follows in the target, and in the place that it comes from."""
        if other.origin != self.origin or other.offset != self.offset + self.length:
            return False
        return self.origin in _NOWHERE or other.source == self.source + self.length


def joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Joins stretches that go on."""
    last: Stretch | None = None
    for stretch in stretches:
        if last is not None and last.goes_on(stretch):
            last.length += stretch.length
            continue
        if last is not None:
            yield last
        last = stretch
    if last is not None:
        yield last
