"""Fetch turns: one of the processes that share a store fetches an object, and the others wait.

They only save work. Two ids that share a byte, or a lost lock, cost a redundant fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from casync.ids import ObjectId
from casync.store.lmdb.byte_lock import FETCH_BYTES, ByteLocks
from casync.store.lmdb.lmdb_errors import translate

__all__ = ["FetchTurns"]


class FetchTurns:
    """The turns of one process. Safe for threads, which coordinate among themselves.

    Args:
        path: The store's folder.

    Raises:
        WriteError: The lock file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._locks = ByteLocks(path)
        except OSError as error:
            raise translate(error, path, need=0) from error

    @contextmanager
    def take(self, ids: Sequence[ObjectId]) -> Iterator[list[ObjectId]]:
        """Locks and yields those of `ids` that no other process fetches, until the block ends."""
        try:
            yield [ident for ident in ids if self._locks.take(_byte(ident))]
        finally:
            for ident in ids:
                self._locks.free(_byte(ident))  # leaves locks of other processes alone

    def wait(self, ids: Sequence[ObjectId]) -> None:
        """Waits until every process that fetches one of `ids` has stored it, failed or died."""
        for ident in ids:
            self._locks.wait(_byte(ident))

    def close(self) -> None:
        """Frees the turns of this process. May be called again."""
        self._locks.close()


def _byte(ident: ObjectId) -> int:
    return FETCH_BYTES[int.from_bytes(ident[:8]) % len(FETCH_BYTES)]
