"""Compacts segments: moves live records out of mostly dead segments, and frees these.

A record moves in the same transaction as the row that points to it, so a reader finds it at the old
or the new place. A segment with damage stays, for `verify` to find and for salvage to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import lmdb

from casync.limits import MIB
from casync.names.name import NameRecord
from casync.objects.codec import Unpacker
from casync.objects.record import NAME_RECORD, RECORD_BYTES, SegmentRecord
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.reindex import prove, prove_name
from casync.store.lmdb.rows import (
    IndexRow,
    SegmentUse,
    decode_index,
    decode_name,
    decode_number,
    decode_segment_use,
    encode_index,
    encode_segment_use,
    index_key,
    number_key,
    version_key,
)
from casync.store.lmdb.scan import scan
from casync.store.lmdb.segment import Filler, records
from casync.store.lmdb.sweep import last_segment
from casync.store.lmdb.trash_rows import removed_version_key

__all__ = ["MAX_MOVED_BYTES", "mostly_dead", "move_records"]

MAX_MOVED_BYTES: Final = 8 * MIB
"""Bytes of live records that one transaction moves."""


def mostly_dead(environment: Environment) -> Iterator[tuple[int, int]]:
    """Segments with less than half of their bytes live, each with its live bytes."""
    for key, value in scan(environment, "segment_use"):
        use = decode_segment_use(value)
        if 2 * use.live < use.used:
            yield decode_number(key), use.live


def move_records(
    txn: Txn, databases: Mapping[str, lmdb._Database], store_id: bytes, numbers: Sequence[int]
) -> int:
    """Moves the live records of segments behind the last segment, and deletes the segments.

    Returns:
        Bytes of moved records.
    """
    segments = txn.cursor(databases["segments"])
    last = last_segment(txn, databases)
    live: list[
        tuple[SegmentRecord, bytes, bytes]
    ] = []  # each with its header's bytes and its payload
    emptied: list[int] = []
    for number in numbers:
        data = txn.get(number_key(number), db=databases["segments"])
        if data is None:
            continue
        found = _live(txn, databases, store_id, number, bytes(data))
        if found is not None:
            live += found
            emptied.append(number)
    if last in emptied and not live:  # segment numbers must keep ascending
        emptied.remove(last)
    if not emptied:
        return 0
    tail = segments.value() if last not in emptied and segments.last() else None
    filler = Filler(store_id, last, tail)
    added: dict[int, int] = {}
    rows: list[tuple[bytes, bytes]] = []
    for record, header, payload in live:
        place = filler.add(header, payload)
        added[place.segment] = added.get(place.segment, 0) + RECORD_BYTES + record.stored
        if record.kind != NAME_RECORD:
            key = index_key(record.kind, record.id)
            value = txn.get(key, db=databases["index"])
            assert value is not None
            row = decode_index(value)
            moved = IndexRow(*place, row.stored, row.length, row.codec, row.generation)
            rows.append((key, encode_index(moved)))
    filled = list(filler.segments())  # before the first write, which invalidates read buffers
    for number, segment in filled:
        segments.put(number_key(number), segment)
        key = number_key(number)
        value = txn.get(key, db=databases["segment_use"])
        before = decode_segment_use(value).live if value is not None else 0
        use = SegmentUse(len(segment), before + added[number])
        txn.put(key, encode_segment_use(use), db=databases["segment_use"])
    txn.cursor(databases["index"]).putmulti(sorted(rows))
    for number in emptied:
        txn.delete(number_key(number), db=databases["segments"])
        txn.delete(number_key(number), db=databases["segment_use"])
    return sum(added.values())


def _live(
    txn: Txn,
    databases: Mapping[str, lmdb._Database],
    store_id: bytes,
    number: int,
    data: bytes,
) -> list[tuple[SegmentRecord, bytes, bytes]] | None:
    """The records of a segment that are still in use; None if any is damaged."""
    live: list[tuple[SegmentRecord, bytes, bytes]] = []
    unpacker = Unpacker()
    for record in records(data):
        if record is None:
            return None
        payload = record.payload(data)
        if record.kind == NAME_RECORD:
            said = prove_name(record, payload)
            wanted = said is not None and said.store == store_id
            wanted = wanted and said is not None and _is_kept(txn, databases, said.record)
        else:
            value = txn.get(index_key(record.kind, record.id), db=databases["index"])
            row = decode_index(value) if value is not None else None
            wanted = row is not None and (row.segment, row.offset) == (number, record.offset)
            if not wanted and prove(record, payload, unpacker) is None:
                return None  # it may be another object than it says, one that lives
        if wanted:
            header = data[record.offset : record.offset + RECORD_BYTES]
            live.append((record, header, payload))
    return live


def _is_kept(txn: Txn, databases: Mapping[str, lmdb._Database], record: NameRecord) -> bool:
    """Whether a version of a name is in the store or in the trash."""
    here = txn.get(version_key(record.name, record.version), db=databases["name_log"])
    if here is not None:
        return decode_name(here) == record
    key = removed_version_key(record.name, record.version)
    return txn.get(key, db=databases["trash"]) is not None
