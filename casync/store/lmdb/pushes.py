"""Pushes: protects objects of open pushes, new and promised ones, from collections.

A push has a row in `pushes`, and collections keep objects of its generation and later ones. Older
objects that are promised to it get the current generation in the same transaction, so a push never
holds more than it was promised or has brought. The row is in the store rather than in a process: it
outlives the server, and ends a day after the push's last request. docs/adr/0008 has the argument;
`tests/unit/store/lmdb/test_collection_model.py` proves it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from casync.errors import NoSpaceError, QuotaError, WriteError
from casync.fs.os_errors import no_space
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MIB
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Batch, Committed, ManifestState, ObjectStat
from casync.store.lmdb.commit import Writer
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.push_rows import (
    GIVEN_UP,
    PushRow,
    decode_push,
    encode_push,
    open_pushes,
)
from casync.store.lmdb.quota import MAKE_ROOM, read_quota
from casync.store.lmdb.renew import renew
from casync.store.lmdb.roots import all_rows
from casync.store.lmdb.rows import IndexRow, index_prefix
from casync.store.push import PUSH_ID_BYTES, OpenPush, has_ended, outlived

__all__ = ["LmdbPushes"]

_NOTED_SECONDS: Final = 3600
"""Seconds between updates of the row of a push that only queries: each update is a commit."""

_SPARE_PART: Final = 20
"""The spare space is at most one part in so many of the disk."""

_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes


class LmdbPushes:
    """The `Pushes` of one open store.

    Args:
        environment: The store's environment.
        objects: The store's objects.
        store_id: The 16 bytes of the store's UUID.
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
                self._environment.leaves.check(txn.id(), "index", keys)
                renew(txn, self._environment.databases, keys)
                return self._objects.rows(txn, kind, ids)

            with self._giving_up(push):
                rows = self._environment.write(write, need=_ROW_BYTES + 512 * len(keys))
        found_rows = (rows.get(ident) for ident in ids)
        return [ObjectStat(f.length, f.stored) if f is not None else None for f in found_rows]

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        """As `Pushes.put`."""
        pending, now = Pending.of(objects), int(self._clock())
        need = pending.size + 2 * MIB
        self.check_room(push, need, spare=spare)

        def write(txn: Txn) -> Committed:
            self._note(txn, push, now)
            return self._writer(txn, now).commit(Batch(objects=list(objects)), pending)

        with self._giving_up(push):
            self._stage(pending)
            return self._environment.write(write, need=need)

    @contextmanager
    def _giving_up(self, push: bytes) -> Iterator[None]:
        """Gives the push up if there is no room: what it brought would keep the disk full."""
        try:
            yield
        except NoSpaceError:
            with suppress(NoSpaceError, WriteError):  # it expires by itself
                self._give_up(push)
            raise

    def _give_up(self, push: bytes) -> None:
        def write(txn: Txn) -> None:
            value = txn.get(push, db=self._environment.databases["pushes"])
            if value is not None and decode_push(value).floor != GIVEN_UP:
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
            return self._writer(txn, now).commit(batch, Pending.of([]))

        with self._giving_up(push):
            records = self._environment.write(write, need=2 * MIB).names
        return records[0] if records else None

    def open(self) -> list[OpenPush]:
        """As `Pushes.open`."""
        with self._environment.reading() as txn:
            return open_pushes(all_rows(txn, self._environment.databases, "pushes"), self._clock())

    def end(self, push: bytes) -> None:
        """As `Pushes.end`."""

        def write(txn: Txn) -> None:
            txn.delete(push, db=self._environment.databases["pushes"])

        self._environment.write(write, need=_ROW_BYTES)

    def check_room(self, push: bytes, need: int, *, spare: int) -> None:
        """As `Pushes.check_room`. Free pages of the store count as free space.

        `spare` is limited to a twentieth of the disk.
        """
        status = os.statvfs(self._environment.path)
        room = status.f_bavail * status.f_frsize
        need += min(spare, status.f_blocks * status.f_frsize // _SPARE_PART)
        if room < need:  # usually the disk alone has enough
            room += self._environment.free_bytes
        if room < need:
            with self._giving_up(push):
                raise no_space(self._environment.path, need, room, MAKE_ROOM)

    def _stage(self, pending: Pending) -> None:
        """What can be done of a commit beside others."""

    def _writer(self, txn: Txn, now: int) -> Writer:
        return Writer(txn, self._environment, self._store_id, now)

    def _row(self, txn: Txn, push: bytes, now: int) -> PushRow:
        value = txn.get(push, db=self._environment.databases["pushes"])
        row = decode_push(value) if value is not None else None
        if row is None or not row.lives(now):
            raise has_ended(push)
        if row.floor == GIVEN_UP:
            limited = read_quota(txn, self._environment.databases["meta"]) is not None
            kind = QuotaError if limited else NoSpaceError
            raise kind("the push found no room and was given up", next_step=MAKE_ROOM)
        return row

    def _note(self, txn: Txn, push: bytes, now: int) -> None:
        """Records a request of the push, unless the push has ended."""
        self._put(txn, push, self._row(txn, push, now)._replace(heard=now))

    def _put(self, txn: Txn, push: bytes, row: PushRow) -> None:
        txn.put(push, encode_push(row), db=self._environment.databases["pushes"])

    def _make_room(self, txn: Txn, now: int) -> None:
        """Ends expired pushes, and beyond the limit the one with the longest silence."""
        pushes = self._environment.databases["pushes"]
        rows = {bytes(key): decode_push(value) for key, value in txn.cursor(pushes).iternext()}
        for push in outlived({push: row.heard for push, row in rows.items()}, now):
            txn.delete(push, db=pushes)
