"""Reads rows of a database in order by plain reads, past LMDB.

A cursor of LMDB aborts the process when the next leaf is not a leaf, which in a server ends the
requests of others, too. These reads cost as much and raise an exception.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import lt
from typing import TypeAlias

from casync.errors import DamagedStoreError
from casync.store.lmdb.data_file.pages import (
    DATABASE_BYTES,
    NO_PAGE,
    SUB_DATABASE,
    LeafNode,
    MetaPage,
    PageTree,
    branch_children,
    leaf_nodes,
    parse_tree,
    read_page,
    snapshot,
    value_of,
)

__all__ = ["Row", "find_tree", "rows_from", "rows_until"]

Row: TypeAlias = tuple[bytes, bytes]
"""A key and its value."""

_OUT_OF_ORDER = "keys of the data file are out of order"


def rows_from(fd: int, transaction: int, database: str, first: bytes) -> Iterator[Row] | None:
    """The rows of a database with keys from `first` on, in order.

    Args:
        fd: The data file.
        transaction: The snapshot to read. The caller holds a reader of it meanwhile.
        database: Its name.
        first: A key.

    Returns:
        None if the snapshot's meta page has been overwritten.

    Raises:
        DamagedStoreError: A page on the way is damaged.
    """
    meta = snapshot(fd, transaction)
    return None if meta is None else _ascending(fd, meta, find_tree(fd, meta, database), first)


def rows_until(fd: int, transaction: int, database: str, end: bytes) -> Iterator[Row] | None:
    """The rows of a database with keys before `end`, from the last to the first.

    Args, Returns and Raises are those of `rows_from`.
    """
    meta = snapshot(fd, transaction)
    return None if meta is None else _descending(fd, meta, find_tree(fd, meta, database), end)


def find_tree(fd: int, meta: MetaPage, database: str) -> PageTree:
    """The record of a database.

    Raises:
        DamagedStoreError: It is missing, or a page on the way is damaged.
    """
    wanted = database.encode()
    for page, nodes in _leaves_from(fd, meta, meta.main, wanted):
        key, data, length, flags = nodes[0]
        if key == wanted and flags == SUB_DATABASE and length == DATABASE_BYTES:
            return parse_tree(page, data)
        break
    raise DamagedStoreError(f"the data file lacks {database}")


def _ascending(fd: int, meta: MetaPage, tree: PageTree, first: bytes) -> Iterator[Row]:
    last = b""
    for page, nodes in _leaves_from(fd, meta, tree, first):
        keys = [node[0] for node in nodes]
        if keys[0] <= last or not all(map(lt, keys, keys[1:])):
            raise DamagedStoreError(_OUT_OF_ORDER)
        last = keys[-1]
        if any(node[3] for node in nodes):
            for node in nodes:
                yield node[0], value_of(fd, meta, page, node)
        else:
            yield from [(key, page[data : data + length]) for key, data, length, _ in nodes]


def _leaves_from(
    fd: int, meta: MetaPage, tree: PageTree, first: bytes
) -> Iterator[tuple[bytes, list[LeafNode]]]:
    """Leaves in order, each with its nodes from `first` on; none without any."""
    todo = [(tree.root, 1)] if tree.root != NO_PAGE else []
    while todo:
        number, level = todo.pop()
        page = read_page(fd, meta, number)
        if level < tree.depth:
            children = branch_children(page, number)
            start = bisect_right([key for key, _ in children[1:]], first)
            todo += [(child, level + 1) for _, child in reversed(children[start:])]
            continue
        nodes = leaf_nodes(page, number)
        start = bisect_left([node[0] for node in nodes], first)
        if start < len(nodes):
            yield page, nodes[start:]


def _descending(fd: int, meta: MetaPage, tree: PageTree, end: bytes) -> Iterator[Row]:
    todo = [(tree.root, 1)] if tree.root != NO_PAGE else []
    last = end
    while todo:
        number, level = todo.pop()
        page = read_page(fd, meta, number)
        if level < tree.depth:
            children = branch_children(page, number)
            stop = bisect_left([key for key, _ in children[1:]], end) + 1
            todo += [(child, level + 1) for _, child in children[:stop]]
            continue
        nodes = leaf_nodes(page, number)
        for node in reversed(nodes[: bisect_left([node[0] for node in nodes], end)]):
            if node[0] >= last:
                raise DamagedStoreError(_OUT_OF_ORDER)
            last = node[0]
            yield last, value_of(fd, meta, page, node)
