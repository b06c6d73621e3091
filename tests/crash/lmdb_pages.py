"""Finds the role of each page of an LMDB data file, by walking its trees.

For tests that damage pages of one sort. Knows nothing of our code, only of liblmdb 0.9's layout on
64-bit machines; sound files only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["PAGE_BYTES", "Page", "map_pages"]

PAGE_BYTES: Final = 4096
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG, _TREE = 1, 2
_FREE_DB, _MAIN_DB, _DB_BYTES, _DB_ROOT = 40, 88, 48, 40
_LAST_TRANSACTION: Final = 144
_NO_PAGE: Final = 2**64 - 1


class Page(NamedTuple):
    """A page that is in use, or a run of them.

    Attributes:
        number: The first.
        span: How many; above 1 for a large value.
        role: `meta`, `root`, `branch`, `leaf` or `value`.
        database: Which tree; `free` and `main` are LMDB's own.
    """

    number: int
    span: int
    role: str
    database: str


def map_pages(data: bytes) -> list[Page]:
    """All pages of the newest snapshot."""
    metas = [data[:PAGE_BYTES], data[PAGE_BYTES : 2 * PAGE_BYTES]]
    newest = max(metas, key=lambda page: struct.unpack_from("<Q", page, _LAST_TRANSACTION))
    pages = [Page(0, 1, "meta", "main"), Page(1, 1, "meta", "main")]
    for name, at in (("free", _FREE_DB), ("main", _MAIN_DB)):
        (root,) = struct.unpack_from("<Q", newest, at + _DB_ROOT)
        pages += _tree(data, root, name)
    return pages


def _tree(data: bytes, root: int, name: str) -> Iterator[Page]:
    if root == _NO_PAGE:
        return
    yield Page(root, 1, "root", name)
    yield from _below(data, root, name)


def _below(data: bytes, number: int, name: str) -> Iterator[Page]:
    page = data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
    flags, lower = struct.unpack_from("<HH", page, 10)
    for (at,) in struct.iter_unpack("<H", page[16:lower]):
        low, high, node_flags, key_bytes = struct.unpack_from("<HHHH", page, at)
        value = at + 8 + key_bytes
        if flags & _BRANCH:
            child = low | high << 16 | node_flags << 32
            (child_flags,) = struct.unpack_from("<H", data, child * PAGE_BYTES + 10)
            yield Page(child, 1, "leaf" if child_flags & _LEAF else "branch", name)
            yield from _below(data, child, name)
        elif node_flags & _BIG:
            (first,) = struct.unpack_from("<Q", page, value)
            (count,) = struct.unpack_from("<I", data, first * PAGE_BYTES + 12)
            yield Page(first, count, "value", name)
        elif node_flags & _TREE:
            (root,) = struct.unpack_from("<Q", page, value + _DB_ROOT)
            yield from _tree(data, root, page[at + 8 : value].decode())
