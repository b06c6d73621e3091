"""The items of jobs: fixed lists in blocks, which are read and written one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.limits import JOB_BLOCK_ITEMS
from casync.store.job_rules import check_block, check_fence, check_listed
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.commit import read_job
from casync.store.lmdb.jobs.key import JobKey
from casync.store.lmdb.jobs.rows import (
    ItemBlock,
    block_key,
    decode_block,
    decode_items_of,
    encode_block,
    encode_items_of,
    job_key,
    object_index,
)
from casync.store.lmdb.quota import check_quota

__all__ = ["JobItems"]

_PLACE: Final = b"items"
_BEHIND: Final = b"\xff" * 9
"""Behind the number of any block."""

_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes besides the row


class JobItems:
    """The items of all jobs of one open store.

    Args:
        environment: The store's environment.
        key: Seals blocks with secrets.
    """

    def __init__(self, environment: Environment, key: JobKey) -> None:
        self._environment = environment
        self._key = key

    def add(self, ident: str, epoch: int, block: int, items: Sequence[Item]) -> None:
        """As `JobStore.add_items`, for the runner in `epoch`."""
        databases = self._environment.databases
        key, frame = block_key(ident, block), encode_items_of(items)
        is_secret = any(item.is_secret for item in items)
        if is_secret:
            frame = self._key.seal(ident, _PLACE + key, frame)
        value = encode_block(ItemBlock(is_secret, len(items), frame))

        def write(txn: Txn) -> None:
            row = check_fence(ident, read_job(txn, databases, ident), epoch)
            blocks, last = self._listed(txn, ident)
            check_block(row, block, len(items), blocks=blocks, last=last)
            check_quota(txn, databases["meta"])
            self._environment.leaves.check(txn.id(), "job_items")
            for later in range(block + 1, blocks):
                txn.delete(block_key(ident, later), db=databases["job_items"])
            txn.put(key, value, db=databases["job_items"])

        self._environment.write(write, need=len(value) + _ROW_BYTES)

    def _listed(self, txn: Txn, ident: str) -> tuple[int, int]:
        """Number of blocks of a job, and number of items in the last one."""
        cursor = txn.cursor(self._environment.databases["job_items"])
        behind = cursor.set_range(job_key(ident) + _BEHIND)
        key = bytes(cursor.key()) if (cursor.prev() if behind else cursor.last()) else b""
        if not key.startswith(job_key(ident)):
            return 0, 0
        return object_index(key) + 1, decode_block(cursor.value()).items

    def each(self, ident: str, from_index: int) -> Iterator[Item]:
        """As `JobStore.items`."""
        block, skip = divmod(from_index, JOB_BLOCK_ITEMS)
        while True:
            row, items = self._read(ident, block)
            first = block * JOB_BLOCK_ITEMS
            if row is not None and row.total >= 0:
                items = items[: max(row.total - first, 0)]
            yield from islice(items, skip, None)
            if len(items) < JOB_BLOCK_ITEMS:
                if row is not None:
                    check_listed(row, first + len(items))
                return
            block, skip = block + 1, 0

    def _read(self, ident: str, block: int) -> tuple[JobRow | None, list[Item]]:
        """The row of a job, and the items of a block; none if it is missing."""
        databases, key = self._environment.databases, block_key(ident, block)
        with self._environment.reading() as txn:
            row = read_job(txn, databases, ident)
            value = txn.get(key, db=databases["job_items"]) if row is not None else None
            found = decode_block(value) if value is not None else None
        if found is None:
            return row, []
        frame = found.frame
        if found.sealed:
            frame = self._key.open(ident, _PLACE + key, frame, "its list of objects")
        return row, decode_items_of(frame, found.items)
