"""Notes which rows a transaction of the store on disk changes, so that they can be sent on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import lmdb

from casync.store.lmdb.environment import Txn

__all__ = ["Recorder"]


class Recorder:
    """A write transaction that notes the keys of changed rows.

    Args:
        txn: The transaction.
        databases: LMDB's handles by name.

    Attributes:
        keys: The keys of the rows that were put or deleted, by database.
    """

    def __init__(self, txn: Txn, databases: Mapping[str, lmdb._Database]) -> None:
        self._txn = txn
        self._names = {id(handle): name for name, handle in databases.items()}
        self.keys: dict[str, set[bytes]] = {}

    @property
    def txn(self) -> Txn:
        """The recorder as the transaction that it stands for."""
        return cast("Txn", self)

    def note(self, db: lmdb._Database, keys: Iterable[bytes]) -> None:
        """Notes that rows are changed."""
        self.keys.setdefault(self._names[id(db)], set()).update(map(bytes, keys))

    def put(self, key: bytes, value: bytes, *, db: lmdb._Database) -> bool:
        """As of a transaction."""
        self.note(db, (key,))
        return self._txn.put(key, value, db=db)

    def delete(self, key: bytes, *, db: lmdb._Database) -> bool:
        """As of a transaction."""
        self.note(db, (key,))
        return self._txn.delete(key, db=db)

    def cursor(self, db: lmdb._Database) -> _RecordingCursor:
        """As of a transaction."""
        return _RecordingCursor(self, self._txn.cursor(db), db)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._txn, name)


class _RecordingCursor:
    def __init__(
        self, recorder: Recorder, cursor: lmdb.Cursor[memoryview], db: lmdb._Database
    ) -> None:
        self._recorder = recorder
        self._cursor = cursor
        self._db = db

    def put(self, key: bytes, value: bytes, *, append: bool = False) -> bool:
        self._recorder.note(self._db, (key,))
        return self._cursor.put(key, value, append=append)

    def putmulti(self, items: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
        rows = list(items)
        self._recorder.note(self._db, (key for key, _ in rows))
        return self._cursor.putmulti(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
