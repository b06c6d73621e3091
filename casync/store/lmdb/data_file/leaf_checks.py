"""Checks leaves of large databases before this process first writes into them.

LMDB trusts the pages that it changes: an insert into a damaged leaf may write beyond the page, end
the process by a signal, or take pages for free that are in use. Small databases are checked whole
when a store is opened, and large ones before anything is deleted. Of the others, a leaf is checked
once, before the first row goes into it. It stays good: what LMDB makes of good pages is good, and
what merges leaves has checked them all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from pathlib import Path

from casync.errors import DamagedStoreError
from casync.store.lmdb.data_file.checked_rows import find_tree
from casync.store.lmdb.data_file.pages import (
    NO_PAGE,
    branch_children,
    leaf_keys,
    read_page,
    snapshot,
)
from casync.store.lmdb.data_file.plain_reads import data_file
from casync.store.lmdb.data_file.trees import check_order, check_trees

__all__ = ["LeafChecks"]


class LeafChecks:
    """The large databases of an open store, and which of their leaves are known to be good.

    A leaf goes by the key from which it holds rows, since its page changes with each transaction.

    Args:
        path: The store's folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._good: dict[str, set[bytes]] = {}

    def begin(self, databases: Collection[str]) -> None:
        """Notes the databases whose leaves have not been read; all others are good."""
        self._good = {name: set() for name in databases}

    def trust(self, databases: Collection[str]) -> None:
        """Notes databases that have been checked row by row since."""
        for name in databases:
            self._good.pop(name, None)

    def check(self, transaction: int, database: str, keys: Sequence[bytes] | None = None) -> None:
        """Checks the leaves into which rows go, except good ones. Call it before the first write.

        Args:
            transaction: The number of the write transaction.
            database: The database to change.
            keys: Those of the rows to put, ascending. Deleting merges leaves: None checks all.

        Raises:
            DamagedStoreError: LMDB would write astray.
        """
        good = self._good.get(database)
        if good is None:
            return
        with data_file(self._path) as fd:
            before = transaction - 1
            if keys is None:
                check_trees(fd, before, whole=(database,))
                self.trust((database,))
            else:
                _check_leaves(fd, before, database, keys, good)


def _check_leaves(
    fd: int, transaction: int, database: str, keys: Sequence[bytes], good: set[bytes]
) -> None:
    meta = snapshot(fd, transaction)
    if meta is None:
        raise DamagedStoreError("the newest meta page of the data file is gone")
    tree = find_tree(fd, meta, database)
    todo: list[tuple[int, int, bytes, bytes | None, int, int]] = []
    if tree.root != NO_PAGE:
        todo.append((tree.root, 1, b"", None, 0, len(keys)))
    while todo:
        number, level, low, high, start, stop = todo.pop()
        page = read_page(fd, meta, number)
        if level == tree.depth:
            check_order(leaf_keys(page, number), low, high)
            good.add(low)
            continue
        children = branch_children(page, number)
        bounds = [low, *(key for key, _ in children[1:])]
        while start < stop:
            at = bisect_right(bounds, keys[start], 1) - 1
            end, limit = stop, high
            if at + 1 < len(bounds):
                limit = bounds[at + 1]
                end = bisect_left(keys, limit, start, stop)
            if level + 1 < tree.depth or bounds[at] not in good:
                todo.append((children[at][1], level + 1, bounds[at], limit, start, end))
            start = end
