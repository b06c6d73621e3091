"""How many bytes of objects to send at once: fewer after a broken connection, then more again.

As TCP does it (additive increase, multiplicative decrease): on a line that breaks after some bytes,
large bodies would be sent again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from casync.limits import KIB, MIB
from casync.objects.codec import Packed

__all__ = ["UploadSize"]

_FIRST_BYTES: Final = 16 * MIB
_LEAST_BYTES: Final = 64 * KIB
"""Smaller bodies cost more in answers than they save."""

_GROWTH: Final = 8
"""A body that arrived lets the next one be larger by one part in so many."""


class UploadSize:
    """The size of the next body, shared by the threads of a client.

    Threads may race: each of them sets a size that is right for what it has just seen.
    """

    def __init__(self) -> None:
        self._bytes = self._most = _FIRST_BYTES

    def first(self, objects: Sequence[Packed]) -> list[Packed]:
        """The first of `objects`, as many as to send at once; at least one."""
        room = self._bytes
        chosen: list[Packed] = []
        for packed in objects:
            room -= len(packed.payload)
            if room < 0 and chosen:
                break
            chosen.append(packed)
        return chosen

    def arrived(self) -> None:
        """Records that a body arrived."""
        self._bytes = min(self._bytes + self._bytes // _GROWTH, self._most)

    def broke(self, size: int) -> None:
        """Records that the connection broke while a body of `size` bytes was sent."""
        self._bytes = max(min(self._bytes, size // 2), _LEAST_BYTES)

    def refused(self, size: int) -> None:
        """Records that a body of `size` bytes was refused for its size: none is ever as large."""
        self._most = max(min(self._most, size // 2), 1)
        self._bytes = min(self._bytes, self._most)
