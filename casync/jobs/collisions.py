"""Objects of a job that would get the same name.

Two objects with one name are refused before anything is fetched. For templates a rule proves that
there are none; otherwise a digest of each name is kept, about 9 MB for a million names.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from blake3 import blake3

from casync.errors import UsageError
from casync.jobs.template import Template

__all__ = [
    "NameDigests",
    "collision_step",
    "digest_of",
    "first_collision",
    "has_distinct_texts",
    "refuse_collisions",
]

_BUCKETS: Final = 1024
_MAX_UNPROVED: Final = 1 << 22
"""Texts of a template that are compared one by one where the rule proves nothing."""


class NameDigests:
    """The 64-bit digests of names, in buckets that are sorted one at a time. Add all, then ask."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(_BUCKETS)]
        self._is_sorted = True

    def add(self, name: str) -> None:
        """Takes a name."""
        digest = digest_of(name)
        self._buckets[digest % _BUCKETS].append(digest)
        self._is_sorted = False

    def __contains__(self, name: str) -> bool:
        """Whether a name was taken; rarely, one with the same digest."""
        self._sort()
        digest = digest_of(name)
        bucket = self._buckets[digest % _BUCKETS]
        at = bisect_left(bucket, digest)
        return at < len(bucket) and bucket[at] == digest

    def repeated(self) -> frozenset[int]:
        """Digests that came more than once. Two names may have the same one, if rarely."""
        self._sort()
        return frozenset(
            one for bucket in self._buckets for one, two in pairwise(bucket) if one == two
        )

    def _sort(self) -> None:
        if not self._is_sorted:
            self._buckets = [array("Q", sorted(bucket)) for bucket in self._buckets]
            self._is_sorted = True


def first_collision(names: Iterable[str], repeated: frozenset[int]) -> str | None:
    """The first name that comes twice, or None.

    Args:
        names: The names, once more.
        repeated: What `NameDigests.repeated` found among them.
    """
    seen = set[str]()
    if repeated:
        for name in names:
            if digest_of(name) in repeated:
                if name in seen:
                    return name
                seen.add(name)
    return None


def collision_step(*, flatten: bool) -> str:
    """What to do about objects that would have one name."""
    drop = "Drop --flatten, or give" if flatten else "Give"
    return f"{drop} each object a name of its own in a list."


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


def digest_of(name: str) -> int:
    """64 bits of the hash of a name or a key."""
    data = name.encode("utf-8", "surrogateescape")
    return int.from_bytes(blake3(data).digest(length=8), "big")
