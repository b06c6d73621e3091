"""What pushes bring: objects that no manifest leads to yet, and promises about those that are here.

A push has a row in `pushes`, and collections leave alone what is of its generation or a later one.
What is promised to it and older is given the generation of today in the same transaction, so a
push never holds more than what it was promised or brought. The row lies in the store and not in a
process: it outlives the server, and ends when nothing is heard of the push for a day. docs/adr/0008
has the argument; `tests/unit/store/lmdb/test_collection_model.py` proves it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from casync.errors import NoSpaceError, QuotaError, WriteError
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MIB
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.sizes import format_size
from casync.store.base import Batch, Committed, ManifestState, ObjectStat
from casync.store.lmdb.commit import Pending, Writer
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.push_rows import GIVEN_UP, PushRow, decode_push, encode_push
from casync.store.lmdb.quota import MAKE_ROOM
from casync.store.lmdb.renew import renew
from casync.store.lmdb.rows import IndexRow, index_prefix
from casync.store.push import PUSH_ID_BYTES, has_ended, outlived

__all__ = ["LmdbPushes"]

_NOTED_SECONDS: Final = 3600
"""A push that only asks is noted to be alive this often: each note is a commit."""

_SPARE_PART: Final = 20
"""A small disk need not keep more than this part of itself free."""

_ROW_BYTES: Final = 64 * 1024  # what a commit of one row writes, generously


class LmdbPushes:
    """The `Pushes` of one open store.

    Args:
        environment: The store's.
        objects: Its objects.
        store_id: Its id.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        environment: Environment,
        objects: Objects,
        store_id: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._objects = objects
        self._store_id = store_id
        self._clock = clock

    def begin(self) -> bytes:
        """As `Pushes.begin`."""
        push, now = secrets.token_bytes(PUSH_ID_BYTES), int(self._clock())

        def write(txn: Txn) -> None:
            self._make_room(txn, now)
            floor = read_generation(txn, self._environment.databases["meta"])
            self._put(txn, push, PushRow(floor, now))

        self._environment.write(write, need=_ROW_BYTES)
        return push

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `Pushes.promise`."""
        now = int(self._clock())
        with self._environment.reading() as txn:
            row = self._row(txn, push, now)
            rows = self._objects.rows(txn, kind, ids)
        old = [ident for ident, found in rows.items() if found.generation < row.floor]
        if old or abs(now - row.heard) > _NOTED_SECONDS:
            keys = sorted(index_prefix(kind) + ident for ident in old)

            def write(txn: Txn) -> dict[bytes, IndexRow]:
                self._note(txn, push, now)
                renew(txn, self._environment.databases, keys)
                return self._objects.rows(txn, kind, ids)

            rows = self._environment.write(write, need=_ROW_BYTES + 512 * len(keys))
        found_rows = (rows.get(ident) for ident in ids)
        return [ObjectStat(f.length, f.stored) if f is not None else None for f in found_rows]

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        """As `Pushes.put`."""
        pending, now = Pending.of(objects), int(self._clock())
        need = sum(entry.size for entry in pending) + 2 * MIB
        self.check_room(need, spare=spare)

        def write(txn: Txn) -> Committed:
            self._note(txn, push, now)
            return self._writer(txn, now).commit(Batch(objects=list(objects)), pending)

        try:
            return self._environment.write(write, need=need)
        except QuotaError:
            with suppress(NoSpaceError, WriteError):  # it ends by itself, then
                self._give_up(push)
            raise

    def _give_up(self, push: bytes) -> None:
        def write(txn: Txn) -> None:
            if txn.get(push, db=self._environment.databases["pushes"]) is not None:
                self._put(txn, push, PushRow(GIVEN_UP, int(self._clock())))

        self._environment.write(write, need=_ROW_BYTES)

    def publish(self, push: bytes, what: ManifestId | NameUpdate, length: int) -> NameRecord | None:
        """As `Pushes.publish`."""
        now = int(self._clock())
        updates = [what] if isinstance(what, NameUpdate) else []
        manifest = what.manifest if isinstance(what, NameUpdate) else what
        batch = Batch(manifests=[(manifest, ManifestState.FULL, length)], names=updates)

        def write(txn: Txn) -> Committed:
            self._row(txn, push, now)
            txn.delete(push, db=self._environment.databases["pushes"])
            return self._writer(txn, now).commit(batch, [])

        records = self._environment.write(write, need=2 * MIB).names
        return records[0] if records else None

    def end(self, push: bytes) -> None:
        """As `Pushes.end`."""

        def write(txn: Txn) -> None:
            txn.delete(push, db=self._environment.databases["pushes"])

        self._environment.write(write, need=_ROW_BYTES)

    def check_room(self, need: int, *, spare: int) -> None:
        """As `Pushes.check_room`. Pages that are free in the store are room.

        Of `spare` at most a twentieth of the disk is asked for.
        """
        status = os.statvfs(self._environment.path)
        room = status.f_bavail * status.f_frsize
        need += min(spare, status.f_blocks * status.f_frsize // _SPARE_PART)
        if room < need:  # the usual answer needs no look into the store
            room += self._environment.free_bytes
        if room < need:
            raise NoSpaceError(
                f"no space on {self._environment.path}: "
                f"{format_size(need)} needed, {format_size(room)} free",
                next_step="`casync rm` and `casync gc` make some.",
            )

    def _writer(self, txn: Txn, now: int) -> Writer:
        return Writer(txn, self._environment.databases, self._store_id, now)

    def _row(self, txn: Txn, push: bytes, now: int) -> PushRow:
        value = txn.get(push, db=self._environment.databases["pushes"])
        row = decode_push(value) if value is not None else None
        if row is None or not row.lives(now):
            raise has_ended(push)
        if row.floor == GIVEN_UP:
            raise QuotaError("the push met the quota, and was given up", next_step=MAKE_ROOM)
        return row

    def _note(self, txn: Txn, push: bytes, now: int) -> None:
        """Writes down that the push is alive, unless it has ended."""
        self._put(txn, push, self._row(txn, push, now)._replace(heard=now))

    def _put(self, txn: Txn, push: bytes, row: PushRow) -> None:
        txn.put(push, encode_push(row), db=self._environment.databases["pushes"])

    def _make_room(self, txn: Txn, now: int) -> None:
        """Ends pushes that were silent for too long, and of too many the most silent one."""
        pushes = self._environment.databases["pushes"]
        rows = {bytes(key): decode_push(value) for key, value in txn.cursor(pushes).iternext()}
        for push in outlived({push: row.heard for push, row in rows.items()}, now):
            txn.delete(push, db=pushes)
