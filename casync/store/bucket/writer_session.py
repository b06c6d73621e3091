"""The session of a writer of a store in a bucket: its floor is in the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from casync.store.bucket.environment import BucketEnvironment
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.writer_session import Session

__all__ = ["BucketSession"]

_ROW_BYTES: Final = 64 * 1024
_T = TypeVar("_T")


class BucketSession(Session):
    """As `Session`. It ends with its environment.

    Args:
        environment: The tables.
        objects: The store's objects.
    """

    def __init__(self, environment: BucketEnvironment, objects: Objects) -> None:
        super().__init__(environment, objects)
        self._bucket = environment

    def begin(self) -> None:
        """Begins the session, unless it has begun, in one swap of the head.

        Raises:
            CasyncError: The bucket failed.
        """
        with self._mutex:
            generation = self._bucket.begin_session() if not self._since else None
            if generation is not None:
                self._since = generation
                self._bucket.own.holds_promises = True

    def _begin(self, action: Callable[[Txn], _T], need: int = 0) -> _T:
        def begin(txn: Txn) -> tuple[int, _T]:
            generation = read_generation(txn, self._bucket.databases["meta"])
            return generation, action(txn)

        self._since, result = self._bucket.write(
            begin, need=need + _ROW_BYTES, floor=lambda generation: generation
        )
        self._bucket.own.holds_promises = True
        return result

    def _write(self, action: Callable[[Txn], _T], need: int, floor: int) -> _T:
        return self._bucket.write(action, need=need + _ROW_BYTES, floor=lambda _: floor)
