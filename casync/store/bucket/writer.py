"""Writes a batch into a store in a bucket: rows as in a store on disk, objects into the bucket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from casync.ids import Kind
from casync.names.name import NameRecord
from casync.objects.record import RECORD_BYTES
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.tables import PAYLOADS, number_of
from casync.store.lmdb.commit import Writer
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.quota import charge
from casync.store.lmdb.rows import IndexRow, encode_index, index_prefix

__all__ = ["BucketWriter"]

_CHUNKS = index_prefix(Kind.CHUNK)


class BucketWriter(Writer):
    """As `Writer`. Versions of names are in runs alone.

    Args:
        txn: A write transaction.
        environment: The tables.
        store_id: The UUID of the store.
        now: Seconds since 1970.
    """

    def __init__(self, txn: Txn, environment: BucketEnvironment, store_id: bytes, now: int) -> None:
        super().__init__(txn, environment, store_id, now)
        self._uploads = environment.uploads

    def append(self, new: Pending, names: Sequence[NameRecord]) -> None:
        """As `Writer.append`, into segments of the bucket."""
        if not new.keys:
            return
        charge(self._txn, self._databases["meta"], new.size)
        generation = read_generation(self._txn, self._databases["meta"])
        live: Counter[int] = Counter()
        sizes: dict[int, int] = {}
        rows: list[tuple[bytes, bytes]] = []
        for at, (segment, offset) in enumerate(self._uploads.place(new)):
            number = number_of(self._txn, self._databases, segment)
            live[number] += new.sizes[at]
            sizes[number] = segment.size
            stored, length = new.sizes[at] - RECORD_BYTES, new.lengths[at]
            row = IndexRow(number, offset, stored, length, stored < length, generation)
            rows.append((new.keys[at], encode_index(row)))
            if new.keys[at][:1] != _CHUNKS:
                record = b"".join(new.records[at])
                self._put(PAYLOADS, new.keys[at], record)
        for number, size in live.items():
            self._count(number, sizes[number], size)
        self.put_index(rows)
