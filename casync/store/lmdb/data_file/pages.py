"""Reads the pages of LMDB's data file by plain reads, and checks each before it is used.

LMDB maps its file and has no checksums: it aborts the process on a page that is not what it should
be, and a flipped bit hides rows without a word. What is read here is either what LMDB wrote, or an
exception. The layout is that of liblmdb 0.9 on 64-bit machines, in the host's byte order; `trees`
follows the pages from one to the next.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from casync.errors import DamagedStoreError, UnsupportedError

__all__ = [
    "BIG",
    "DATABASE_BYTES",
    "FIRST_PAGE",
    "HEADER_BYTES",
    "NO_PAGE",
    "SUB_DATABASE",
    "MetaPage",
    "LeafNode",
    "PageTree",
    "big_value",
    "branch_children",
    "leaf_keys",
    "leaf_nodes",
    "metas",
    "parse_tree",
    "read_page",
    "snapshot",
    "value_of",
]

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_PAGE: Final = struct.Struct("=QHHHH")  # number, pad, flags, lower, upper
_OVERFLOW_PAGE: Final = struct.Struct("=QHHI")  # number, pad, flags, pages
_META: Final = struct.Struct("=IIQQ")  # magic, version, address, map size
_DB: Final = struct.Struct("=IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow, entries, root
_TAIL: Final = struct.Struct("=QQ")  # last page, transaction
_NODE: Final = struct.Struct("=HHHH")  # low, high, flags, key size
_NUMBER: Final = struct.Struct("=Q")
_BRANCH, _LEAF, _OVERFLOW, _IS_META = 0x01, 0x02, 0x04, 0x08
_INTEGER_KEYS: Final = 0x08
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 16))
_MAX_DEPTH: Final = 32
_MAX_PAGES: Final = 2**48  # offsets of their bytes fit into 63 bits
_TRIES: Final = 5  # a writer may replace a meta page between two reads

BIG: Final = 0x01
"""Flag of a node whose data lies in pages of its own; the node holds the number of the first."""

SUB_DATABASE: Final = 0x02
"""Flag of a node whose data is the record of a named database."""

NO_PAGE: Final = 2**64 - 1
"""The root of an empty tree."""

FIRST_PAGE: Final = 2
"""The first page behind the meta pages."""

HEADER_BYTES: Final = _PAGE.size
DATABASE_BYTES: Final = _DB.size

LeafNode: TypeAlias = tuple[bytes, int, int, int]
"""A node of a leaf: its key, where its data begins in the page, bytes of data, flags. A plain
tuple, because a large store has a million."""


class PageTree(NamedTuple):
    """What LMDB records of a database.

    Attributes:
        flags: How keys compare.
        depth: Levels of pages.
        branch_pages: Number of branch pages.
        leaf_pages: Number of leaf pages.
        overflow_pages: Pages of large values.
        entries: Number of rows.
        root: Number of the first page.
    """

    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class MetaPage(NamedTuple):
    """A meta page.

    Attributes:
        page_size: Bytes of a page.
        last_page: Number of the last page in use.
        transaction: The transaction that wrote it.
        free: The list of free pages.
        main: The database that holds the others.
    """

    page_size: int
    last_page: int
    transaction: int
    free: PageTree
    main: PageTree


def metas(fd: int) -> list[MetaPage]:
    """Both meta pages, the one that LMDB uses first.

    Raises:
        UnsupportedError: The file was written by another version of LMDB.
        DamagedStoreError: One of them is not a meta page, or they are not of successive
            transactions.
    """
    for _ in range(_TRIES):
        first = _parse_meta(os.pread(fd, 4096, 0))
        second = _parse_meta(os.pread(fd, 4096, first.page_size))
        apart = abs(first.transaction - second.transaction)
        # Transaction N writes meta page N % 2.
        placed = first.transaction % 2 == 0 and second.transaction % 2 == 1
        if (apart == 1 and placed) or not first.transaction | second.transaction:
            return sorted((first, second), key=lambda meta: meta.transaction, reverse=True)
    raise DamagedStoreError("the meta pages of the data file contradict each other")


def snapshot(fd: int, transaction: int) -> MetaPage | None:
    """The meta page of a transaction; None if later ones have replaced it.

    Raises:
        DamagedStoreError, UnsupportedError: As `metas`.
    """
    return next((meta for meta in metas(fd) if meta.transaction == transaction), None)


def _parse_meta(page: bytes) -> MetaPage:
    if len(page) < _PAGE.size + _META.size + 2 * _DB.size + _TAIL.size:
        raise DamagedStoreError("the data file ends within its meta pages")
    flags = _PAGE.unpack_from(page)[2]
    offset = _PAGE.size
    magic, version, _, _ = _META.unpack_from(page, offset)
    if magic != _MAGIC or not flags & _IS_META:
        raise DamagedStoreError("a meta page of the data file is damaged")
    if version != _DATA_VERSION:
        raise UnsupportedError(
            f"LMDB data version {version}; this program reads version {_DATA_VERSION}"
        )
    offset += _META.size
    page_size = _DB.unpack_from(page, offset)[0]
    free = parse_tree(page, offset, _INTEGER_KEYS)
    main = parse_tree(page, offset + _DB.size)
    last_page, transaction = _TAIL.unpack_from(page, offset + 2 * _DB.size)
    if page_size not in _PAGE_SIZES or last_page > _MAX_PAGES:
        raise DamagedStoreError("a meta page of the data file is damaged")
    return MetaPage(page_size, last_page, transaction, free, main)


def parse_tree(page: bytes, offset: int, flags: int = 0) -> PageTree:
    """The record of a database at `offset`.

    Raises:
        DamagedStoreError: It is impossible, or has other flags.
    """
    _, *fields = _DB.unpack_from(page, offset)
    tree = PageTree(*fields)
    empty = tree.root == NO_PAGE
    if tree.flags != flags or tree.depth > _MAX_DEPTH or empty != (not tree.depth):
        raise DamagedStoreError("the record of a database in the data file is damaged")
    if empty and (tree.branch_pages or tree.leaf_pages or tree.overflow_pages or tree.entries):
        raise DamagedStoreError("a database of the data file has rows and no pages")
    return tree


def read_page(fd: int, meta: MetaPage, number: int) -> bytes:
    """A page; DamagedStoreError if it is not in the file."""
    if not FIRST_PAGE <= number <= meta.last_page:
        raise DamagedStoreError("a tree of the data file points past its end")
    page = os.pread(fd, meta.page_size, number * meta.page_size)
    if len(page) != meta.page_size:
        raise DamagedStoreError("a page of the data file is missing")
    return page


def leaf_nodes(page: bytes, number: int) -> list[LeafNode]:
    """The nodes of a leaf, in the order of its pointers.

    Raises:
        DamagedStoreError: It is not the leaf `number`, or its nodes do not fill it exactly.
    """
    lower, upper = _bounds(page, number, _LEAF)
    pointers = memoryview(page)[HEADER_BYTES:lower].cast("H")
    try:
        return _equal_nodes(page, pointers, upper) or _nodes(page, number, pointers, upper)
    except struct.error as error:
        raise _damaged(number, "has a node outside of it") from error


def leaf_keys(page: bytes, number: int) -> list[bytes]:
    """The keys of a leaf, in the order of its pointers. Quicker than `leaf_nodes`.

    Raises:
        DamagedStoreError: As `leaf_nodes`.
    """
    lower, upper = _bounds(page, number, _LEAF)
    pointers = memoryview(page)[HEADER_BYTES:lower].cast("H")
    try:
        if _equal_step(page, pointers, upper):
            size = 8 + _NODE.unpack_from(page, upper)[3]
            return [page[at + 8 : at + size] for at in pointers]
        return [node[0] for node in _nodes(page, number, pointers, upper)]
    except struct.error as error:
        raise _damaged(number, "has a node outside of it") from error


def _equal_nodes(page: bytes, pointers: memoryview[int], upper: int) -> list[LeafNode]:
    """The nodes of a leaf whose headers are all equal, as in `index`; otherwise none."""
    if not _equal_step(page, pointers, upper):
        return []
    low, high, _, key_size = _NODE.unpack_from(page, upper)
    length, before = low | high << 16, 8 + key_size
    return [(page[at + 8 : at + before], at + before, length, 0) for at in pointers]


def _equal_step(page: bytes, pointers: memoryview[int], upper: int) -> int:
    """Bytes from node to node of a leaf whose headers are all equal; otherwise 0."""
    size, count = len(page), len(pointers)
    low, high, flags, key_size = _NODE.unpack_from(page, upper)
    step = int(8 + key_size + (low | high << 16) + 1 & ~1)
    if flags or step * count != size - upper:
        return 0
    for at in range(upper, upper + 8):
        if page[at::step] != page[at : at + 1] * count:
            return 0
    return step if _places(upper, size, step) == frozenset(pointers) else 0


@lru_cache(maxsize=256)
def _places(upper: int, size: int, step: int) -> frozenset[int]:
    return frozenset(range(upper, size, step))


def _nodes(page: bytes, number: int, pointers: memoryview[int], upper: int) -> list[LeafNode]:
    nodes: list[LeafNode] = []
    ends: dict[int, int] = {}
    for at in pointers:
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        data = at + 8 + key_size
        length = low | high << 16
        if flags > SUB_DATABASE:
            raise _damaged(number, "has a node of an unknown kind")
        ends[at] = data + (8 if flags & BIG else length) + 1 & ~1
        nodes.append((page[at + 8 : data], data, length, flags))
    _check_filled(number, ends, len(nodes), upper, len(page))
    return nodes


def branch_children(page: bytes, number: int) -> list[tuple[bytes, int]]:
    """The children of a branch page, each with the key from which it holds rows.

    The first key has no meaning.

    Raises:
        DamagedStoreError: It is not the branch page `number`, or its nodes do not fill it exactly.
    """
    children: list[tuple[bytes, int]] = []
    ends: dict[int, int] = {}
    lower, upper = _bounds(page, number, _BRANCH)
    try:
        for at in memoryview(page)[HEADER_BYTES:lower].cast("H"):
            low, high, top, key_size = _NODE.unpack_from(page, at)
            end = at + 8 + key_size
            ends[at] = end + 1 & ~1
            children.append((page[at + 8 : end], low | high << 16 | top << 32))
    except struct.error as error:
        raise _damaged(number, "has a node outside of it") from error
    _check_filled(number, ends, len(children), upper, len(page))
    return children


def _bounds(page: bytes, number: int, kind: int) -> tuple[int, int]:
    its_number, _, flags, lower, upper = _PAGE.unpack_from(page)
    if its_number != number or flags != kind:
        raise _damaged(number, "is not what it should be")
    if not HEADER_BYTES < lower <= upper <= len(page) or lower % 2:
        raise _damaged(number, "has impossible bounds")
    return lower, upper


def _check_filled(number: int, ends: dict[int, int], count: int, at: int, size: int) -> None:
    """LMDB leaves no gap between nodes, so one that is hidden, moved or resized shows."""
    for _ in range(count):
        at = ends.get(at, 0)
    if at != size or len(ends) != count:
        raise _damaged(number, "has nodes that do not fill it")


def big_value(
    fd: int, meta: MetaPage, page: bytes, node: LeafNode, *, header: bool
) -> tuple[int, int]:
    """Where the large value of a node lies: the number of its first page, and how many there are.

    Args:
        fd: The data file.
        meta: The snapshot.
        page: The page of the node.
        node: The node.
        header: Check the value's own header too, which costs a read.

    Raises:
        DamagedStoreError: It lies outside of the file, or its header is damaged.
    """
    (number,) = _NUMBER.unpack_from(page, node[1])
    pages = (HEADER_BYTES - 1 + node[2]) // meta.page_size + 1
    if header and FIRST_PAGE <= number <= meta.last_page:
        head = os.pread(fd, HEADER_BYTES, number * meta.page_size)
        if len(head) != HEADER_BYTES:
            raise DamagedStoreError("a page of the data file is missing")
        its_number, _, flags, its_pages = _OVERFLOW_PAGE.unpack(head)
        if its_number != number or flags != _OVERFLOW or its_pages < pages:
            raise _damaged(number, "is not the large value that it should be")
        pages = its_pages
    if number < FIRST_PAGE or number + pages > meta.last_page + 1:
        raise DamagedStoreError("a value reaches beyond the data file")
    return number, pages


def value_of(fd: int, meta: MetaPage, page: bytes, node: LeafNode) -> bytes:
    """The data of a node; DamagedStoreError if it is large and damaged or missing."""
    _, data, length, flags = node
    if not flags & BIG:
        return page[data : data + length]
    number, _ = big_value(fd, meta, page, node, header=True)
    value = os.pread(fd, length, number * meta.page_size + HEADER_BYTES)
    if len(value) != length:
        raise DamagedStoreError("a page of the data file is missing")
    return value


def _damaged(number: int, what: str) -> DamagedStoreError:
    return DamagedStoreError(f"page {number} of the data file {what}")
