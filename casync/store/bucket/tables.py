"""The tables that a host keeps of a store in a bucket, and runs that change them.

They are those of a store on disk, and five more. `index` and `segment_use` number segments as this
host does; all other rows are the same on every host.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import lmdb

from casync.bucket.head import BucketHead, decode_head, encode_head
from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.bucket.run import (
    COMMITS,
    CONDEMNED,
    GONE,
    RunRow,
    SegmentSize,
    TableChange,
    TableRun,
    part_key,
)
from casync.errors import DamagedStoreError, UnsupportedError
from casync.ids import Kind
from casync.store.bucket.recorder import Recorder
from casync.store.lmdb.databases import JOB_DATABASES
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import (
    META_GENERATION,
    SegmentUse,
    decode_index,
    decode_number,
    decode_segment_use,
    encode_number,
    encode_segment_use,
    number_key,
)

__all__ = [
    "CONDEMNED",
    "HOST_DATABASES",
    "PAYLOADS",
    "Standing",
    "apply_changes",
    "changed_run",
    "condemn",
    "count_live",
    "decode_part_key",
    "drop_host_session",
    "each_host_session",
    "empty_shared",
    "find_segment",
    "number_of",
    "put_host_session",
    "put_standing",
    "read_standing",
    "set_use",
]

PAYLOADS: Final = "payloads"
_HEAD: Final = "bucket_head"
_SEGMENTS: Final = "bucket_segments"
_NUMBERS: Final = "bucket_numbers"
HOST_DATABASES: Final = (CONDEMNED, PAYLOADS, _HEAD, _SEGMENTS, _NUMBERS)
"""Databases of a store in a bucket besides those of a store on disk."""

_SHARED: Final = frozenset(
    {
        "manifests",
        "names",
        "name_log",
        "trash",
        "pushes",
        "member_indexes",
        *JOB_DATABASES,
        CONDEMNED,
    }
)
_SHARED_META: Final = frozenset({b"quota", b"collected"})
_META: Final = "meta"
_HEAD_KEY: Final = b"head"
_APPLYING_KEY: Final = b"applying"
_VERSION_KEY: Final = b"version"
_NUMBER_KEY: Final = b"number"
_SESSION_KEY: Final = b"s\0"
_PART: Final = struct.Struct(f">{SESSION_BYTES}sI")
_SEGMENT: Final = struct.Struct(f"<{SESSION_BYTES}sII")

_Databases = Mapping[str, lmdb._Database]


class Standing(NamedTuple):
    """Where the tables stand: the last head that they were brought to, and their version.

    Attributes:
        head: That head; None before the first one.
        version: Its version.
        applying: The head that they are being brought to in steps: they may have rows of it.
    """

    head: BucketHead | None
    version: int
    applying: BucketHead | None = None

    @property
    def seen(self) -> list[BucketHead]:
        """The heads of which the tables may have rows."""
        return [head for head in (self.head, self.applying) if head is not None]

    def may_become(self, head: BucketHead) -> bool:
        """Whether another head may follow, one that was read after this.

        It may have the same version while a process is applying the runs of that head.
        """
        if self.applying is not None and head.version < self.applying.version:
            return False
        is_applying = self.head is None or self.head.version < self.version
        return self.version < head.version or (self.version == head.version and is_applying)


def read_standing(txn: Txn, databases: _Databases) -> Standing:
    """Where the tables stand."""
    version = txn.get(_VERSION_KEY, db=databases[_HEAD])
    return Standing(
        _read_head(txn, databases, _HEAD_KEY),
        decode_number(version) if version is not None else 0,
        _read_head(txn, databases, _APPLYING_KEY),
    )


def _read_head(txn: Txn, databases: _Databases, key: bytes) -> BucketHead | None:
    data = txn.get(key, db=databases[_HEAD])
    return decode_head(bytes(data)) if data is not None else None


def put_standing(txn: Txn, databases: _Databases, standing: Standing) -> None:
    """Notes where the tables stand."""
    txn.put(_VERSION_KEY, number_key(standing.version), db=databases[_HEAD])
    if standing.applying is not None:
        txn.put(_APPLYING_KEY, encode_head(standing.applying), db=databases[_HEAD])
    else:
        txn.delete(_APPLYING_KEY, db=databases[_HEAD])
    if standing.head is not None:
        txn.put(_HEAD_KEY, encode_head(standing.head), db=databases[_HEAD])
        generation = encode_number(standing.head.generation)
        txn.put(META_GENERATION, generation, db=databases[_META])


def put_host_session(txn: Txn, databases: _Databases, session: bytes, number: int) -> None:
    """Notes the byte of the lock file that a session of this host holds."""
    txn.put(_SESSION_KEY + session, number_key(number), db=databases[_HEAD])


def drop_host_session(txn: Txn, databases: _Databases, session: bytes) -> None:
    """Forgets a session of this host."""
    txn.delete(_SESSION_KEY + session, db=databases[_HEAD])


def each_host_session(txn: Txn, databases: _Databases) -> list[tuple[bytes, int]]:
    """The sessions of this host, each with its byte."""
    rows = [(bytes(key), bytes(value)) for key, value in txn.cursor(databases[_HEAD]).iternext()]
    begin = len(_SESSION_KEY)
    return [(k[begin:], decode_number(v)) for k, v in rows if k.startswith(_SESSION_KEY)]


def decode_part_key(key: bytes) -> SessionPart:
    """The segment of a key of `condemned`.

    Raises:
        DamagedStoreError: It is not one.
    """
    try:
        return SessionPart(*_PART.unpack(key))
    except struct.error as error:
        raise DamagedStoreError(f"the store has a damaged {CONDEMNED} row: {error}") from error


def find_segment(txn: Txn, databases: _Databases, number: int) -> SegmentSize | None:
    """The segment that this host has given a number."""
    value = txn.get(number_key(number), db=databases[_SEGMENTS])
    if value is None:
        return None
    session, part, size = _SEGMENT.unpack(value)
    return SegmentSize(SessionPart(session, part), size)


def number_of(txn: Txn, databases: _Databases, segment: SegmentSize) -> int:
    """The number of a segment on this host; a new one gets the next.

    No number is used twice: a collection knows segments by them, from one transaction to another.
    """
    key = part_key(segment.part)
    value = txn.get(key, db=databases[_NUMBERS])
    if value is not None:
        return decode_number(value)
    cursor = txn.cursor(databases[_SEGMENTS])
    number = decode_number(cursor.key()) + 1 if cursor.last() else 0
    free = txn.get(_NUMBER_KEY, db=databases[_HEAD])
    number = max(number, decode_number(free) if free is not None else 0)
    txn.put(_NUMBER_KEY, number_key(number + 1), db=databases[_HEAD])
    row = _SEGMENT.pack(*segment.part, segment.size)
    txn.put(number_key(number), row, db=databases[_SEGMENTS])
    txn.put(key, number_key(number), db=databases[_NUMBERS])
    return number


# -- What a transaction has changed ---------------------------------------------------------------


def changed_run(recorder: Recorder, databases: _Databases, store: bytes) -> TableRun | None:
    """The run with all rows that a transaction has changed; None if no host needs it.

    Raises:
        DamagedStoreError: A row points to a segment that this host does not know.
    """
    txn, keys = recorder.txn, recorder.keys
    segments: dict[SegmentSize, int] = {}
    numbers: dict[int, int] = {}
    rows: dict[Kind, list[RunRow]] = {kind: [] for kind in Kind}
    for key in sorted(keys.get("index", ())):
        value = txn.get(key, db=databases["index"])
        if value is None:
            rows[Kind(key[0])].append(RunRow(key[1:], GONE, 0, 0, 0, 0))
            continue
        row = decode_index(value)
        if row.segment not in numbers:
            segment = find_segment(txn, databases, row.segment)
            if segment is None:
                raise DamagedStoreError(f"segment {row.segment} is unknown here")
            numbers[row.segment] = segments.setdefault(segment, len(segments))
        place = numbers[row.segment], row.offset
        rows[Kind(key[0])].append(RunRow(key[1:], *place, row.stored, row.length, row.generation))
    changes: list[TableChange] = []
    for table in sorted(keys):
        for key in sorted(keys[table]):
            if table in _SHARED or (table == _META and key in _SHARED_META):
                value = txn.get(key, db=databases[table])
                changes.append((table, key, bytes(value) if value is not None else None))
    if not changes and not any(rows.values()):
        return None
    return TableRun(store, list(segments), rows, changes)


# -- What others have changed ---------------------------------------------------------------------


def empty_shared(txn: Txn, databases: _Databases) -> None:
    """Empties what runs fill besides the index."""
    for name in _SHARED:
        txn.drop(databases[name], delete=False)
    for key in _SHARED_META:
        txn.delete(key, db=databases[_META])


def apply_changes(txn: Txn, databases: _Databases, changes: Sequence[TableChange]) -> None:
    """Changes all tables but the index, as runs say.

    Raises:
        UnsupportedError: A table is unknown to this program.
    """
    for table, key, value in changes:
        if table == COMMITS:  # for `casync.bucket.lineage`
            continue
        if table not in _SHARED and (table != _META or key not in _SHARED_META):
            raise UnsupportedError(
                f"the store has a table {table}, which this program does not know",
                next_step="Use a newer casync.",
            )
        if value is None:
            txn.delete(key, db=databases[table])
        else:
            txn.put(key, value, db=databases[table])
        if table == CONDEMNED:  # or deleted since
            _forget_segment(txn, databases, key)


def count_live(txn: Txn, databases: _Databases, number: int, change: int, size: int | None) -> None:
    """Adds to the live bytes of a segment, whose bytes in total are `size` if they are given."""
    value = txn.get(number_key(number), db=databases["segment_use"])
    before = decode_segment_use(value) if value is not None else SegmentUse(size or 0, 0)
    use = SegmentUse(size or before.used, max(before.live + change, 0))
    txn.put(number_key(number), encode_segment_use(use), db=databases["segment_use"])


def set_use(
    txn: Txn, databases: _Databases, sizes: Mapping[int, int], live: Mapping[int, int]
) -> None:
    """Sets the bytes of all segments, in total and live; forgets all other segments."""
    segments = txn.cursor(databases[_SEGMENTS])
    for key, row in [(bytes(key), bytes(row)) for key, row in segments.iternext()]:
        if decode_number(key) not in sizes:
            session, part, _ = _SEGMENT.unpack(row)
            _forget_segment(txn, databases, part_key(SessionPart(session, part)))
    txn.drop(databases["segment_use"], delete=False)
    rows = [
        (number_key(number), encode_segment_use(SegmentUse(size, live.get(number, 0))))
        for number, size in sorted(sizes.items())
    ]
    txn.cursor(databases["segment_use"]).putmulti(rows, append=True)


def _forget_segment(txn: Txn, databases: _Databases, key: bytes) -> None:
    """Forgets the number of a segment to which no row points any more."""
    value = txn.get(key, db=databases[_NUMBERS])
    if value is not None:
        number = bytes(value)
        txn.delete(number, db=databases["segment_use"])
        txn.delete(number, db=databases[_SEGMENTS])
        txn.delete(key, db=databases[_NUMBERS])


def condemn(txn: Txn, databases: _Databases, number: int, now: int) -> None:
    """Condemns a segment to which no row points."""
    segment = find_segment(txn, databases, number)
    if segment is not None:
        key = part_key(segment.part)
        txn.put(key, number_key(now), db=databases[CONDEMNED])
        _forget_segment(txn, databases, key)
