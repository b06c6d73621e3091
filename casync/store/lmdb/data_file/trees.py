"""Checks LMDB's data file before LMDB touches it: its length, and the trees that its pages form.

A flipped bit may hide rows, lead a search astray, or mark a page as free that is in use. So a tree
is followed from its root with plain reads: keys ascend and lie between those of their parents, no
page is used twice, none is both used and free, and the numbers of pages and rows are those that
LMDB recorded.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Collection, Iterator
from operator import itemgetter, lt
from typing import Final

from casync.errors import DamagedStoreError
from casync.sizes import format_size
from casync.store.lmdb.data_file.pages import (
    BIG,
    DATABASE_BYTES,
    FIRST_PAGE,
    HEADER_BYTES,
    NO_PAGE,
    SUB_DATABASE,
    LeafNode,
    MetaPage,
    PageTree,
    big_value,
    branch_children,
    leaf_nodes,
    metas,
    parse_tree,
    read_page,
    snapshot,
    value_of,
)

__all__ = ["check_length", "check_order", "check_trees", "whole_rows"]

_NUMBER_BYTES: Final = 8
_SMALL_PAGES: Final = 256
"""A database of so many pages is checked whole when a store is opened: about 10 ms."""

_FEW_BYTES: Final = 1024 * 1024
"""As long a list of free pages is read whole when a store is opened: about 10 ms."""

_TRIES: Final = 5  # a writer may change pages during the check
_OUTSIDE: Final = "a tree of the data file points past its end"
_BAD_LIST: Final = "the data file's list of free pages is damaged"


def check_length(fd: int) -> None:
    """Refuses a data file that lacks pages which its newest meta page lists as used.

    LMDB never writes pages that were allocated and freed in one transaction, and these may be the
    last ones. So a page may be missing if it is in the list of free pages.

    Raises:
        DamagedStoreError: Pages are missing, or a meta page or the free list is damaged.
        UnsupportedError: The file was written by another version of LMDB.
    """
    for attempt in range(_TRIES):
        try:
            meta = metas(fd)[0]
            present = os.fstat(fd).st_size // meta.page_size
            if present > meta.last_page:
                return
            missing = meta.last_page + 1 - present
            free = {page for page in _free_pages(fd, meta) if present <= page <= meta.last_page}
            if len(free) == missing:
                return
            message = f"the data file lacks its last {format_size(missing * meta.page_size)}"
        except DamagedStoreError as error:
            message = str(error)
        if attempt == _TRIES - 1:
            raise DamagedStoreError(message)


def _free_pages(fd: int, meta: MetaPage) -> Iterator[int]:
    for page, nodes in _Trees(fd, meta).walk(meta.free, whole=True, numbers=True):
        for node in nodes:
            yield from _page_numbers(value_of(fd, meta, page, node))


def _page_numbers(data: bytes) -> array[int]:
    """The page numbers in a row of the free list: a count, then as many in descending order."""
    numbers = array("Q")
    numbers.frombytes(data[: len(data) // _NUMBER_BYTES * _NUMBER_BYTES])
    if not numbers or numbers[0] >= len(numbers):
        raise DamagedStoreError(_BAD_LIST)
    return numbers[1 : numbers[0] + 1]


def check_trees(
    fd: int,
    transaction: int,
    *,
    whole: Collection[str] = (),
    everything: bool = False,
    free: bool = False,
) -> frozenset[str] | None:
    """Refuses a data file on which LMDB would abort, miss rows or overwrite what is in use.

    Small databases, and those with large values, are checked row by row; of large ones the branch
    pages: a page of them for thousands of rows.

    Args:
        fd: The data file.
        transaction: The snapshot to check. The caller should hold a reader of it.
        whole: Databases to check row by row however large they are.
        everything: Check all of them so, and the header of each large value.
        free: Check the list of free pages, too, which writers take pages from.

    Returns:
        Databases whose leaves were not read; None if the snapshot's meta page has been
        overwritten.

    Raises:
        DamagedStoreError: A page is damaged.
    """
    meta = snapshot(fd, transaction)
    if meta is None:
        return None
    trees = _Trees(fd, meta, headers=everything)
    unread: set[str] = set()
    for name, tree in trees.databases().items():
        few = tree.branch_pages + tree.leaf_pages <= _SMALL_PAGES
        row_by_row = everything or few or name in whole or tree.overflow_pages > 0
        for _ in trees.walk(tree, whole=row_by_row):
            pass
        if not row_by_row:
            unread.add(name)
    if free or everything:
        trees.check_free(everything=everything)
    return frozenset(unread)


def whole_rows(fd: int, databases: Collection[str]) -> dict[str, dict[bytes, bytes]]:
    """All rows of small databases as they are now, without LMDB and whatever else is damaged.

    Args:
        fd: The data file.
        databases: Their names; those that do not exist are left out.

    Raises:
        DamagedStoreError: A page on the way is damaged.
        UnsupportedError: The file was written by another version of LMDB.
    """
    for attempt in range(_TRIES):
        meta = metas(fd)[0]
        trees = _Trees(fd, meta)
        try:
            found = {
                name: {
                    node[0]: value_of(fd, meta, page, node)
                    for page, nodes in trees.walk(tree, whole=True)
                    for node in nodes
                }
                for name, tree in trees.databases().items()
                if name in databases
            }
        except DamagedStoreError:
            if attempt == _TRIES - 1:
                raise
            continue
        if snapshot(fd, meta.transaction) is not None:  # no page was replaced meanwhile
            return found
    raise DamagedStoreError("the data file changes faster than it can be read")


class _Trees:
    """Walks the trees of one snapshot, and notes which pages they use.

    Args:
        fd: The data file.
        meta: The snapshot.
        headers: Check the header of each large value; otherwise that of the last one of each
            tree, which writers replace.
    """

    def __init__(self, fd: int, meta: MetaPage, *, headers: bool = False) -> None:
        self._fd = fd
        self._meta = meta
        self._headers = headers
        pages = min(meta.last_page + 1, os.fstat(fd).st_size // meta.page_size)
        self._used = bytearray(max(pages, FIRST_PAGE))
        self._used[:FIRST_PAGE] = b"\1" * FIRST_PAGE

    def databases(self) -> dict[str, PageTree]:
        """The named databases, after a walk of the one that holds them."""
        found: dict[str, PageTree] = {}
        for page, nodes in self.walk(self._meta.main, whole=True, main=True):
            for key, data, length, flags in nodes:
                if flags != SUB_DATABASE or length != DATABASE_BYTES:
                    raise DamagedStoreError("the list of databases in the data file is damaged")
                found[key.decode(errors="backslashreplace")] = parse_tree(page, data)
        return found

    def walk(
        self, tree: PageTree, *, whole: bool, numbers: bool = False, main: bool = False
    ) -> Iterator[tuple[bytes, list[LeafNode]]]:
        """Checks a tree and yields its leaves, if they are to be read.

        Args:
            tree: What LMDB recorded of it.
            whole: Read the leaves, too.
            numbers: Keys are numbers of the host, as those of the free list.
            main: It is the database that holds the others.

        Raises:
            DamagedStoreError: It is damaged.
        """
        branches = leaves = entries = large = 0
        last: tuple[bytes, LeafNode] | None = None
        todo: list[tuple[int, int, bytes, bytes | None]] = []
        if tree.root != NO_PAGE:
            todo.append((tree.root, 1, b"", None))
        while todo:
            number, level, low, high = todo.pop()
            self._use(number, 1)
            if level < tree.depth:
                branches += 1
                children = branch_children(read_page(self._fd, self._meta, number), number)
                keys = [key for key, _ in children[1:]]
                keys = _sortable(keys) if numbers else keys
                if not numbers and not keys:
                    raise DamagedStoreError("a branch of the data file leads to one page only")
                check_order(keys, low, high)
                below = [child for _, child in children]
                if level + 1 == tree.depth and not whole:
                    leaves += len(below)
                    self._use_each(below)
                    continue
                found = zip(below, [low, *keys], [*keys, high], strict=True)
                todo += reversed([(child, level + 1, start, stop) for child, start, stop in found])
                continue
            leaves += 1
            if not whole:
                continue
            page = read_page(self._fd, self._meta, number)
            nodes = leaf_nodes(page, number)
            entries += len(nodes)
            keys = [node[0] for node in nodes]
            check_order(_sortable(keys) if numbers else keys, low, high)
            for node in nodes:
                if node[3] & BIG:
                    last = page, node
                    large += self._use(
                        *big_value(self._fd, self._meta, page, node, header=self._headers)
                    )
                elif node[3] and not main:
                    raise DamagedStoreError(f"page {number} of the data file has a strange node")
            yield page, nodes
        if last is not None:
            big_value(self._fd, self._meta, *last, header=True)
        if (branches, leaves) != (tree.branch_pages, tree.leaf_pages):
            raise DamagedStoreError("a database of the data file lacks pages")
        if whole and entries != tree.entries:
            raise DamagedStoreError(
                f"a database of the data file has {entries} rows instead of {tree.entries}"
            )
        if whole and (
            large != tree.overflow_pages if self._headers else large > tree.overflow_pages
        ):
            raise DamagedStoreError("a database of the data file lacks pages of large values")

    def _use(self, number: int, pages: int) -> int:
        """Notes pages as used; returns their number."""
        end = number + pages
        if number < FIRST_PAGE or end > len(self._used):
            raise DamagedStoreError(_OUTSIDE)
        if self._used.find(1, number, end) >= 0:
            raise DamagedStoreError(f"page {number} of the data file is used twice")
        self._used[number:end] = b"\1" * pages
        return pages

    def _use_each(self, numbers: list[int]) -> None:
        used = self._used
        if max(numbers) >= len(used):
            raise DamagedStoreError(_OUTSIDE)
        for number in numbers:
            if used[number]:
                raise DamagedStoreError(f"page {number} of the data file is used twice")
            used[number] = 1

    def check_free(self, *, everything: bool) -> None:
        """Checks that no page is both free and used. Walk all other trees before.

        Args:
            everything: Read the list whole, however long it is.

        Raises:
            DamagedStoreError: One is, or the list is damaged.
        """
        meta, read = self._meta, 0
        for page, nodes in self.walk(meta.free, whole=True, numbers=True):
            for node in nodes:
                read += node[2]
                if read <= _FEW_BYTES or everything:
                    self._check_unused(_page_numbers(value_of(self._fd, meta, page, node)))
                else:
                    number, _ = big_value(self._fd, meta, page, node, header=True)
                    at = number * meta.page_size + HEADER_BYTES
                    (count,) = array("Q", os.pread(self._fd, _NUMBER_BYTES, at))
                    if (count + 1) * _NUMBER_BYTES > node[2]:
                        raise DamagedStoreError(_BAD_LIST)

    def _check_unused(self, numbers: array[int]) -> None:
        if not numbers:
            return
        if not all(map(lt, numbers[1:], numbers)) or numbers[-1] < FIRST_PAGE:
            raise DamagedStoreError(_BAD_LIST)
        if numbers[0] > self._meta.last_page:
            raise DamagedStoreError("the data file's list of free pages points past its end")
        inside = [number for number in numbers if number < len(self._used)]
        if inside and any(itemgetter(*inside, inside[0])(self._used)):
            raise DamagedStoreError("a page of the data file is both free and in use")
        for number in inside:
            self._used[number] = 1


def _sortable(keys: list[bytes]) -> list[bytes]:
    """The keys of the free list, which are numbers of the host, so that they sort as such."""
    if any(len(key) != _NUMBER_BYTES for key in keys):
        raise DamagedStoreError(_BAD_LIST)
    return [int.from_bytes(key, sys.byteorder).to_bytes(_NUMBER_BYTES, "big") for key in keys]


def check_order(keys: list[bytes], low: bytes, high: bytes | None) -> None:
    """Checks that keys ascend, begin at `low`, and end before `high`.

    Raises:
        DamagedStoreError: They do not.
    """
    if keys and not (
        low <= keys[0] and all(map(lt, keys, keys[1:])) and (high is None or keys[-1] < high)
    ):
        raise DamagedStoreError("keys of the data file are out of order")
