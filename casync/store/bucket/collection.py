"""One collection of a store in a bucket (docs/FORMAT.md section 11.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from casync.bucket.collect import is_orphan, lowest_floor, without_silent
from casync.bucket.keys import RUNS, SEGMENTS, SessionPart, segment_key
from casync.bucket.lease import COLLECTOR_LEASE
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES
from casync.errors import LockedError, MalformedError
from casync.limits import MIB
from casync.objects.record import RECORD_BYTES, SegmentRecord, decode_record, sound_record
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.lease import HeldLease, take_lease
from casync.store.bucket.tables import (
    CONDEMNED,
    condemn,
    decode_part_key,
    find_segment,
    number_of,
    read_standing,
)
from casync.store.collectable import Swept
from casync.store.lmdb.collection import LmdbCollection
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.quota import recount
from casync.store.lmdb.rows import (
    IndexRow,
    SegmentUse,
    decode_index,
    decode_number,
    decode_segment_use,
    encode_index,
    encode_segment_use,
    index_key,
    number_key,
)
from casync.store.lmdb.scan import scan

__all__ = ["GRACE_SECONDS", "BucketCollection"]

GRACE_SECONDS: Final = 7 * 86400
"""Seconds for which segments and runs stay that the store no longer needs, for slow readers."""

_NEED: Final = 256 * 1024
_MOVED_BYTES: Final = 32 * MIB
"""Live records that one commit moves."""

_AT_ONCE: Final = 1000
"""Keys that one request deletes."""


class BucketCollection(LmdbCollection):
    """As `LmdbCollection`.

    Args:
        environment: The tables.
        store_id: The UUID of the store.
        now: Seconds since 1970.
        window: Seconds that removed manifests and names are kept.
        dry_run: Only read.
        drop_pushes: End all pushes.
        grace: Seconds for which the bucket keeps what the store no longer needs.

    Raises:
        LockedError: Another collection is running, on any host.
        CasyncError: As of `LmdbCollection`.
    """

    def __init__(
        self,
        environment: BucketEnvironment,
        store_id: bytes,
        *,
        now: int,
        window: float,
        dry_run: bool,
        drop_pushes: bool,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._bucket = environment
        self._grace = grace
        self._lease = None if dry_run else _take_lease(environment)
        try:
            super().__init__(
                environment,
                store_id,
                now=now,
                window=window,
                dry_run=dry_run,
                drop_pushes=drop_pushes,
            )
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        """As of `LmdbCollection`."""
        super().close()
        self._give_back()

    def _give_back(self) -> None:
        if self._lease is not None:
            self._lease.close()

    def _start(self) -> int:
        return self._bucket.write(
            self._begin,
            need=_NEED,
            edit=lambda head: without_silent(head, self._now, mine=self._bucket.session),
        )

    def _writer_floor(self, txn: Txn, today: int) -> int:
        """As of `LmdbCollection`: floors are in the head."""
        head = read_standing(txn, self._bucket.databases).head
        if head is None:
            return today
        return lowest_floor(without_silent(head, self._now, mine=self._bucket.session), today)

    # -- Sweeping -----------------------------------------------------------------------------

    def _delete(self, keys: list[bytes]) -> Swept:
        databases = self._bucket.databases

        def write(txn: Txn) -> Swept:
            safe = self._floor(txn, self._safe)
            found = txn.cursor(databases["index"]).getmulti(keys)
            rows = [(bytes(key), decode_index(value)) for key, value in found]
            freed: Counter[int] = Counter()
            count = 0
            for key, row in rows:
                if row.generation < safe:
                    txn.delete(key, db=databases["index"])
                    freed[row.segment] += RECORD_BYTES + row.stored
                    count += 1
            for number, size in freed.items():
                self._discount(txn, number, size)
            return Swept(count, freed.total())

        return self._bucket.write(write, need=_NEED)

    def _discount(self, txn: Txn, number: int, size: int) -> None:
        use = self._use(txn, number)
        if use is not None:
            left = SegmentUse(use.used, max(use.live - size, 0))
            db = self._bucket.databases["segment_use"]
            txn.put(number_key(number), encode_segment_use(left), db=db)

    def _use(self, txn: Txn, number: int) -> SegmentUse | None:
        value = txn.get(number_key(number), db=self._bucket.databases["segment_use"])
        return decode_segment_use(value) if value is not None else None

    # -- Freeing ------------------------------------------------------------------------------

    def compact(self) -> int:
        """As `Collection.compact`. Deletes what the bucket no longer needs, too."""
        self._check_wet()
        moved = sum(self._move_records(number) for number in self._mostly_dead())
        self._condemn_empty()
        self._bucket.write(lambda txn: recount(txn, self._bucket.databases), need=_NEED)
        self._delete_condemned()
        self._delete_orphans()
        return moved

    def _mostly_dead(self) -> Iterator[int]:
        for key, value in scan(self._bucket, "segment_use"):
            use = decode_segment_use(value)
            if 0 < 2 * use.live < use.used:
                yield decode_number(key)

    def _move_records(self, number: int) -> int:
        """Moves the live records of a segment into new ones; returns their bytes.

        What arrives damaged stays where it is: the segment itself may be sound.
        """
        with self._bucket.reading() as txn:
            segment = find_segment(txn, self._bucket.databases, number)
        stored = self._bucket.storage.get(segment_key(segment.part)) if segment else None
        if stored is None:
            return 0
        listed = list(_records(stored.data))
        databases = self._bucket.databases

        def write(txn: Txn) -> int:
            rows: list[IndexRow] = []
            pending = Pending([], [], [], [])
            for record in listed:
                key = index_key(record.kind, record.id)
                value = txn.get(key, db=databases["index"])
                row = decode_index(value) if value is not None else None
                if row is None or row != _row_of(record, number, row.generation):
                    continue
                rows.append(row)
                pending.keys.append(key)
                pending.lengths.append(record.length)
                pending.sizes.append(RECORD_BYTES + record.stored)
                pending.records.append((stored.data[record.offset : record.end],))
            places = self._bucket.uploads.place(pending)
            moved: list[tuple[bytes, bytes]] = []
            for key, row, size, place in zip(
                pending.keys, rows, pending.sizes, places, strict=True
            ):
                to = number_of(txn, databases, place.segment)
                use = self._use(txn, to)
                after = SegmentUse(place.segment.size, (use.live if use else 0) + size)
                txn.put(number_key(to), encode_segment_use(after), db=databases["segment_use"])
                self._discount(txn, number, size)
                row = IndexRow(to, place.offset, row.stored, row.length, row.codec, row.generation)
                moved.append((key, encode_index(row)))
            txn.cursor(databases["index"]).putmulti(sorted(moved))
            return pending.size

        return self._bucket.write(write, need=_NEED + len(stored.data))

    def _condemn_empty(self) -> None:
        """Condemns segments without live rows. That no row points to them is looked up."""
        use = scan(self._bucket, "segment_use")
        empty = {decode_number(key) for key, value in use if not decode_segment_use(value).live}
        if not empty:
            return
        for _, value in scan(self._bucket, "index"):
            empty.discard(decode_index(value).segment)

        def write(txn: Txn) -> None:
            for number in empty:  # once empty, no row can point to it again
                condemn(txn, self._bucket.databases, number, self._now)

        self._bucket.write(write, need=_NEED)

    def _delete_condemned(self) -> None:
        rows = scan(self._bucket, CONDEMNED)
        due = (key for key, value in rows if abs(self._now - decode_number(value)) >= self._grace)
        databases = self._bucket.databases
        while some := list(islice(due, _AT_ONCE)):
            self._bucket.storage.delete([segment_key(decode_part_key(key)) for key in some])

            def write(txn: Txn, keys: list[bytes] = some) -> None:
                for key in keys:
                    txn.delete(key, db=databases[CONDEMNED])

            self._bucket.write(write, need=_NEED)

    def _delete_orphans(self) -> None:
        storage = self._bucket.storage
        listed = [*storage.list(SEGMENTS), *storage.list(RUNS)]
        head = self._bucket.refresh()  # behind the listing
        used = self._used()
        gone = [
            each.key
            for each in listed
            if is_orphan(each.key, head, used)
            and (each.key.startswith(SEGMENTS) or self._now - each.modified >= self._grace)
        ]
        for start in range(0, len(gone), _AT_ONCE):
            storage.delete(gone[start : start + _AT_ONCE])

    def _used(self) -> set[SessionPart]:
        """Segments that rows point to, or that wait for their deletion."""
        databases = self._bucket.databases
        used = {decode_part_key(key) for key, _ in scan(self._bucket, CONDEMNED)}
        for key, _ in scan(self._bucket, "segment_use"):
            with self._bucket.reading() as txn:
                segment = find_segment(txn, databases, decode_number(key))
            if segment is not None:
                used.add(segment.part)
        return used


def _take_lease(environment: BucketEnvironment) -> HeldLease:
    """The lease of the collector: two at a time are safe, and each wastes the work of the other."""
    lease = take_lease(environment.storage, COLLECTOR_LEASE, clock=environment.clock)
    if isinstance(lease, HeldLease):
        return lease
    silent = max(int(environment.clock()) - lease.heard, 0)
    raise LockedError(
        f"another collection of {environment.storage.place} is running on {lease.who}, which was "
        f"heard of {silent} s ago",
        next_step="Wait for its end. If it was killed, run this again in a minute.",
    )


def _row_of(record: SegmentRecord, segment: int, generation: int) -> IndexRow:
    """The row of a record, as its header has it."""
    return IndexRow(segment, record.offset, record.stored, record.length, record.codec, generation)


def _records(data: bytes) -> Iterator[SegmentRecord]:
    """The records of a segment whose payloads are sound, up to the first damaged header."""
    offset = SEGMENT_HEAD_BYTES
    while offset < len(data):
        try:
            record = decode_record(data, offset)
        except MalformedError:
            return
        if record.end > len(data):
            return
        if sound_record(data, offset) is not None:
            yield record
        offset = record.end
