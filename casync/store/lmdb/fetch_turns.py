"""Who fetches an object for a store: one of all processes that have it open, and the others wait.

Nothing but work is saved by it. Two ids that share a byte, or a lock that is lost, cost a fetch.
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
    """The turns of one process. Safe for threads, which agree among themselves.

    Args:
        path: The folder of the store.

    Raises:
        WriteError: Its lock file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._locks = ByteLocks(path)
        except OSError as error:
            raise translate(error, path, need=0) from error

    @contextmanager
    def take(self, ids: Sequence[ObjectId]) -> Iterator[list[ObjectId]]:
        """Gives those of `ids` that no other process fetches; none does until the block ends."""
        try:
            yield [ident for ident in ids if self._locks.take(_byte(ident))]
        finally:
            for ident in ids:
                self._locks.free(_byte(ident))  # does nothing to those of other processes

    def wait(self, ids: Sequence[ObjectId]) -> None:
        """Returns when every process that fetched one of `ids` has kept it, failed or died."""
        for ident in ids:
            self._locks.wait(_byte(ident))

    def close(self) -> None:
        """Ends the turns of this process. Harmless when closed."""
        self._locks.close()


def _byte(ident: ObjectId) -> int:
    return FETCH_BYTES[int.from_bytes(ident[:8]) % len(FETCH_BYTES)]
