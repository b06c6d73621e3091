"""What a transaction would change, tried out on the tables of a host, and done when it counts.

Between the two a commit is sent to the bucket, however long that takes, and LMDB's lock, for which
all processes of the host would wait, is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import lmdb

from casync.bucket.head import BucketHead
from casync.bucket.run import TableRun
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.recorder import Recorder
from casync.store.bucket.tables import Standing, changed_run, put_standing, read_standing
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation

__all__ = ["TriedCommit", "replay", "try_out"]

_T = TypeVar("_T")
_Databases = Mapping[str, lmdb._Database]


class TriedCommit(NamedTuple, Generic[_T]):
    """What an action did.

    Attributes:
        result: What it returned.
        run: What it changed that others see; None for nothing.
        generation: The store's generation afterwards.
        rows: All rows that it put, and None for those that it deleted, by database.
        transaction: The number of the transaction, which the next one has that is done.
    """

    result: _T
    run: TableRun | None
    generation: int
    rows: Mapping[str, Mapping[bytes, bytes | None]]
    transaction: int

    def changes(self, head: BucketHead) -> bool:
        """Whether it changed what others see.

        Args:
            head: Where the tables stood.
        """
        return self.run is not None or self.generation != head.generation


def try_out(
    action: Callable[[Txn], _T],
    txn: Txn,
    databases: _Databases,
    store_id: bytes,
    head: BucketHead,
) -> TriedCommit[_T]:
    """Runs an action.

    Args:
        action: Writes.
        txn: A write transaction on the tables.
        databases: LMDB's handles by name.
        store_id: The UUID of the store.
        head: Where the tables must stand.

    Raises:
        HeadMovedError: They stand elsewhere.
        CasyncError: The action raised it.
    """
    if read_standing(txn, databases) != Standing(head, head.version):
        raise HeadMovedError("another process of this host was faster")
    recorder = Recorder(txn, databases)
    result = action(recorder.txn)
    rows: dict[str, dict[bytes, bytes | None]] = {}
    for name, keys in recorder.keys.items():
        found = ((key, txn.get(key, db=databases[name])) for key in sorted(keys))
        rows[name] = {key: None if value is None else bytes(value) for key, value in found}
    run = changed_run(recorder, databases, store_id)
    return TriedCommit(result, run, read_generation(txn, databases["meta"]), rows, txn.id())


def replay(trial: TriedCommit[_T], databases: _Databases, swapped: BucketHead, txn: Txn) -> bool:
    """Does what was tried out, and moves the tables on, if no other transaction came between.

    Else a process may have begun to apply this very commit, and others after it: the tables are to
    be brought to the head as on all other hosts. What the action did to rows of this host alone is
    dropped, since others may have changed them, too.

    Args:
        trial: What was tried out.
        databases: LMDB's handles by name.
        swapped: The head that the commit has made.
        txn: A write transaction on the tables.

    Returns:
        Whether it was done.
    """
    if txn.id() != trial.transaction:
        return False
    for name, values in trial.rows.items():
        for key, value in values.items():
            if value is None:
                txn.delete(key, db=databases[name])
            else:
                txn.put(key, value, db=databases[name])
    put_standing(txn, databases, Standing(swapped, swapped.version))
    return True
