"""Mutants of a store's data file: one page each, damaged in one of the ways that matter.

What made LMDB abort, or miss rows that a collection then took for dead, comes first; the rest is
drawn by a seed, equally from meta pages, branches, leaves and large values.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from itertools import count, islice
from typing import Final, NamedTuple

from tests.crash.lmdb_pages import PAGE_BYTES, Page, map_pages

__all__ = ["Mutant", "index_mutants", "mutants"]

_FLAGS_AT, _LOWER_AT, _POINTERS_AT = 10, 12, 16
_LEAF_FLAG: Final = 2
_ROLES: Final = ("meta", "branch", "leaf", "value")
_CHANGES: Final = ("header bit", "any bit", "flags", "zero")
_META_BYTES: Final = 152


class Mutant(NamedTuple):
    """A damage.

    Attributes:
        label: What it is, for people.
        at: Where in the file.
        new: The bytes that lie there then.
    """

    label: str
    at: int
    new: bytes

    def of(self, data: bytes) -> bytes:
        """The damaged file."""
        return data[: self.at] + self.new + data[self.at + len(self.new) :]


def mutants(data: bytes, number: int, seed: int) -> list[Mutant]:
    """So many mutants of a data file."""
    return list(islice(_all(data, seed), number))


def index_mutants(data: bytes, number: int, seed: int) -> list[Mutant]:
    """So many mutants of a data file, each with a leaf of the index that is damaged."""
    leaves = [p for p in map_pages(data) if p.database == "index" and _role(data, p) == "leaf"]
    rng = random.Random(seed)
    drawn = []
    for turn in range(number):
        change = _CHANGES[turn % len(_CHANGES)]
        page = rng.choice(leaves)
        at, new = _changed(data, page, "leaf", change, rng)
        drawn.append(Mutant(f"large index leaf, {change} at {at}", at, new))
    return drawn


def _all(data: bytes, seed: int) -> Iterator[Mutant]:
    pages = [(_role(data, page), page) for page in map_pages(data)]
    for database in ("names", "manifests"):
        leaf = next(p for role, p in pages if role == "leaf" and p.database == database)
        start = leaf.number * PAGE_BYTES
        (lower,) = struct.unpack_from("<H", data, start + _LOWER_AT)
        shorter = [lower ^ 1 << bit for bit in range(1, 12)]
        hides = max(size for size in shorter if _POINTERS_AT < size < lower)
        yield Mutant(f"{database} leaf, lower", start + _LOWER_AT, struct.pack("<H", hides))
        yield Mutant(f"{database} leaf, zero", start, bytes(PAGE_BYTES))
        yield Mutant(f"{database} leaf, flags", start + _FLAGS_AT, struct.pack("<H", 1))
    rng = random.Random(seed)
    for turn in count():
        role = _ROLES[turn % len(_ROLES)]
        change = _CHANGES[turn // len(_ROLES) % len(_CHANGES)]
        page = rng.choice([page for its_role, page in pages if its_role == role])
        at, new = _changed(data, page, role, change, rng)
        yield Mutant(f"{page.database} {role}, {change} at {at}", at, new)


def _role(data: bytes, page: Page) -> str:
    if page.role != "root":
        return page.role
    (flags,) = struct.unpack_from("<H", data, page.number * PAGE_BYTES + _FLAGS_AT)
    return "leaf" if flags & _LEAF_FLAG else "branch"


def _changed(
    data: bytes, page: Page, role: str, change: str, rng: random.Random
) -> tuple[int, bytes]:
    start = page.number * PAGE_BYTES
    if change == "zero":
        return start, bytes(PAGE_BYTES)
    if change == "flags":
        flags = rng.choice([0, 1, 2, 3, 4, 8, 0x10, 0x22])
        return start + _FLAGS_AT, struct.pack("<H", flags)
    size = _META_BYTES if role == "meta" else page.span * PAGE_BYTES
    at = start + (rng.randrange(16) if change == "header bit" else rng.randrange(size))
    return at, bytes((data[at] ^ 1 << rng.randrange(8),))
