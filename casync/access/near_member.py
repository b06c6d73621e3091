"""What the path of a member that is not there may have been meant for."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import islice
from typing import Final

from casync.access.archive import Archive

__all__ = ["near_member"]

_STEPS: Final = 32
"""Beginnings of the path that are looked up; each takes some microseconds."""

_COMPARED: Final = 200
"""Members that are compared with it; each takes some tens of microseconds."""

_LEAST_ALIKE: Final = 0.6
"""As difflib has it for close matches."""


def near_member(archive: Archive, path: bytes) -> bytes | None:
    """The path of a member that begins as much as possible like another one; None if none does."""
    least = path.rfind(b"/") + 1
    if least and next(archive.members(path[:least]), None) is None:
        least = 0  # a mistake in the folder
    for end in range(len(path), max(least, len(path) - _STEPS), -1):
        found = [one.path for one in islice(archive.members(path[:end]), _COMPARED)]
        if found:
            alike, near = max((SequenceMatcher(None, path, one).ratio(), one) for one in found)
            return near if alike >= _LEAST_ALIKE else None
    return None
