"""Objects of a job that would get the same name.

Two objects with one name are refused before anything is fetched. For templates a rule proves that
there are none; otherwise a digest of each name is kept, about 9 MB for a million names.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from blake3 import blake3

from casync.errors import UsageError
from casync.jobs.template import Template

__all__ = ["NameDigests", "first_collision", "has_distinct_texts", "refuse_collisions"]

_BUCKETS: Final = 1024
_MAX_UNPROVED: Final = 1 << 22
"""Texts of a template that are compared one by one where the rule proves nothing."""


class NameDigests:
    """The 64-bit digests of names, in buckets that are sorted one at a time."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def add(self, name: str) -> None:
        """Takes a name."""
        digest = _digest(name)
        self._buckets[digest % _BUCKETS].append(digest)

    def repeated(self) -> frozenset[int]:
        """Digests that came more than once. Two names may have the same one, if rarely."""
        found = set()
        for bucket in self._buckets:
            digests = sorted(bucket)
            if len(set(digests)) < len(digests):
                found |= {one for one, two in pairwise(digests) if one == two}
        return frozenset(found)


def first_collision(names: Iterable[str], repeated: frozenset[int]) -> str | None:
    """The first name that comes twice, or None.

    Args:
        names: The names, once more.
        repeated: What `NameDigests.repeated` found among them.
    """
    seen = set[str]()
    if repeated:
        for name in names:
            if _digest(name) in repeated:
                if name in seen:
                    return name
                seen.add(name)
    return None


def has_distinct_texts(template: Template) -> bool:
    """Whether a rule proves that no two texts of a template are equal.

    Read from left to right, the extent of each number is known if all numbers of its range have
    equally many digits, or if no digit follows. What follows the last number is always the same.
    """
    return all(
        part.has_one_width or not (part.gap or "0")[0].isdigit() for part in template.ranges[:-1]
    )


def refuse_collisions(labels: Template) -> None:
    """Refuses labels that are not distinct.

    Raises:
        UsageError: Two are the same, or there are too many to find out.
    """
    if has_distinct_texts(labels):
        return
    if len(labels) > _MAX_UNPROVED:
        raise UsageError(
            "ranges side by side may give several objects one name",
            next_step="Write the numbers with zeros, as {001..100}, or separate the ranges.",
        )
    digests = NameDigests()
    for label in labels:
        digests.add(label)
    if (twice := first_collision(labels, digests.repeated())) is not None:
        raise UsageError(f"several objects have the name {twice}")


def _digest(name: str) -> int:
    data = name.encode("utf-8", "surrogateescape")
    return int.from_bytes(blake3(data).digest(length=8), "big")
