"""Writer session: objects that a writer found in the store stay until it has published or ended.

A session has a row in `writers` with its floor: collections keep objects of that generation and
later ones. The row counts as long as its byte of the lock file is locked, so the session of a
killed writer ends. A writer that relies on objects older than its session lowers the floor to 0,
which costs one commit; the next commit renews those objects' generations and raises the floor
again. docs/adr/0008 has the argument; `tests/unit/store/lmdb/test_collection_model.py` proves it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from casync.ids import Kind, ObjectId
from casync.limits import COMMIT_BYTES, OBJECT_BYTES
from casync.store.lmdb.byte_lock import WRITER_BYTES, ByteLocks
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.renew import renew
from casync.store.lmdb.rows import encode_number, index_prefix, number_key

__all__ = ["Session"]

_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes
_MOST_PROMISES: Final = COMMIT_BYTES // OBJECT_BYTES
"""Old objects that may be relied on before a commit of their own renews their generations."""

_T = TypeVar("_T")


class Session:
    """The session of one open store. It begins with the first promise. Safe for threads.

    Args:
        environment: The store's environment.
        objects: The store's objects.
    """

    def __init__(self, environment: Environment, objects: Objects) -> None:
        self._environment = environment
        self._objects = objects
        self._mutex = threading.Lock()
        self._locks: ByteLocks | None = None
        self._number = 0
        self._since = 0  # the generation that the session began in; 0 before
        self._hold = 0  # which of the session's holds on all objects is in effect; 0 if none is
        self._holds = 0
        self._promised: set[bytes] = set()  # keys of objects older than that

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """As `ObjectStore.known`.

        Raises:
            NoSpaceError, WriteError: The promise cannot be recorded.
        """
        # What is read from here on is safe from this generation on, and during this hold.
        since, hold = self._since, self._hold
        found = self._objects.generations(kind, ids)
        if found and (not since or min(found.values()) < since):
            found = self._promise(kind, ids, found, hold)
        return [ident in found for ident in ids]

    def _promise(
        self, kind: Kind, ids: Sequence[ObjectId], found: dict[bytes, int], hold: int
    ) -> dict[bytes, int]:
        """Protects objects, some of which are older than the session; returns those found.

        Args:
            kind: Their kind.
            ids: The objects.
            found: Those found before, with their generations.
            hold: The hold that was in effect when they were found.
        """
        with self._mutex:
            if not self._since:
                self._begin(lambda _: None)
            if not hold or hold != self._hold:
                found = self._objects.generations(kind, ids)
            if any(generation < self._since for generation in found.values()):
                if not self._hold:
                    self._put_floor(0)
                    self._holds += 1
                    self._hold = self._holds
                    found = self._objects.generations(kind, ids)
                prefix = index_prefix(kind)
                old = (i for i, generation in found.items() if generation < self._since)
                self._promised.update(prefix + ident for ident in old)
        if len(self._promised) > _MOST_PROMISES:
            self.write(lambda _: None, need=0, publishes=True)
        return found

    def write(self, action: Callable[[Txn], _T], *, need: int, publishes: bool) -> _T:
        """Runs `action` in a write transaction that renews all promised objects first.

        Args:
            action: As for `Environment.write`.
            need: As for `Environment.write`.
            publishes: Whether all objects are below a manifest afterwards; otherwise the session
                begins here, if it has not yet.

        Raises:
            NoSpaceError, WriteError: As `Environment.write`.
        """
        with self._mutex:
            if not self._since and not publishes:
                return self._begin(action, need)
            if not self._promised:
                return self._environment.write(action, need=need)
            promised = sorted(self._promised)

            def write(txn: Txn) -> _T:
                self._environment.leaves.check(txn.id(), "index", promised)
                renew(txn, self._environment.databases, promised)
                return action(txn)

            result = self._write(write, need, self._since)
            self._promised.clear()
            self._hold = 0
            return result

    def _begin(self, action: Callable[[Txn], _T], need: int = 0) -> _T:
        """Begins the session with `action`, at the generation of that moment."""
        with self._translated():
            locks = ByteLocks(self._environment.path)
            self._number = random.choice(WRITER_BYTES)  # noqa: S311 - any free number
            while not locks.take(self._number):
                self._number = random.choice(WRITER_BYTES)  # noqa: S311
        try:
            # The byte is locked before the row is visible.
            def begin(txn: Txn) -> tuple[int, _T]:
                generation = read_generation(txn, self._environment.databases["meta"])
                result = action(txn)
                self._put_row(txn, generation)
                return generation, result

            self._since, result = self._environment.write(begin, need=need + _ROW_BYTES)
        except BaseException:
            locks.close()
            raise
        self._locks = locks
        return result

    def _put_floor(self, floor: int) -> None:
        self._write(lambda _: None, 0, floor)

    def _write(self, action: Callable[[Txn], _T], need: int, floor: int) -> _T:
        """Runs `action` in a transaction that sets the floor."""

        def write(txn: Txn) -> _T:
            result = action(txn)
            self._put_row(txn, floor)
            return result

        return self._environment.write(write, need=need + _ROW_BYTES)

    def _put_row(self, txn: Txn, floor: int) -> None:
        writers = self._environment.databases["writers"]
        txn.put(number_key(self._number), encode_number(floor), db=writers)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise translate(error, self._environment.path, need=0) from error

    def close(self) -> None:
        """Ends the session: promised, unpublished objects may be collected. May be called again."""
        with self._mutex:
            if self._locks is not None:
                self._locks.close()
                self._locks = None
