"""The tables of a store in a bucket, and their commits (docs/FORMAT.md section 11.6).

A transaction runs on this host's tables, which stand at the head. What it changes is written as a
run, and the head is swapped before LMDB commits. If another host was faster, its runs are applied,
and the transaction runs again. docs/adr/0016 has the reasons.
"""

from __future__ import annotations

import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from casync.bucket.collect import SESSION_SILENCE
from casync.bucket.commit import (
    NewRun,
    after_merge,
    after_swap,
    plan_merge,
    with_session,
    without_session,
)
from casync.bucket.head import NO_FLOOR, BucketHead
from casync.bucket.keys import SESSION_BYTES, run_key
from casync.bucket.lineage import commit_change
from casync.bucket.run import encode_run
from casync.bucket.storage import ObjectStorage, StoredObject
from casync.errors import (
    CasyncError,
    LostRaceError,
    WriteError,
)
from casync.limits import MIB
from casync.store.bucket.catch_up import CatchUp, HeadMovedError
from casync.store.bucket.head_view import HeadView
from casync.store.bucket.host_sessions import HostSessions
from casync.store.bucket.merging import merged_run
from casync.store.bucket.recorder import Recorder
from casync.store.bucket.segments import NoSessionError, SegmentUploads
from casync.store.bucket.session_parts import SessionParts
from casync.store.bucket.staged_uploads import StagedUploads
from casync.store.bucket.state_reader import StateReader
from casync.store.bucket.tables import (
    HOST_DATABASES,
    Standing,
    changed_run,
    put_standing,
    read_standing,
)
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.meta import read_generation
from casync.store.lmdb.pending import Pending

__all__ = ["BucketEnvironment"]

_T = TypeVar("_T")

_TRIES: Final = 1000
"""Swaps that one commit may lose: with six writers it loses a few."""

_PAUSE_SECONDS: Final = 0.02
_HEARD_SECONDS: Final = SESSION_SILENCE // 4
"""Silence after which a reader says that the session of its process lives."""

_SEEN_SECONDS: Final = 1.0
"""Age of the tables from which on a reader looks for a newer head."""


class BucketEnvironment(Environment):
    """The tables of one store. Safe for threads, as `Environment`.

    Args:
        path: The folder of the tables.
        storage: The bucket.
        store_id: The UUID of the store.
        map_bytes: Address space to reserve.
        clock: Seconds since 1970.
    """

    _NAMES: ClassVar = (*Environment._NAMES, *HOST_DATABASES)

    def __init__(
        self,
        path: Path,
        storage: ObjectStorage,
        store_id: bytes,
        *,
        map_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._local = threading.local()
        self.looks_after = _SEEN_SECONDS
        self._looked = math.inf  # nothing is looked for before the first refresh
        super().__init__(path, read_only=False, map_bytes=map_bytes)
        self.storage = storage
        self.clock = clock
        self.commits = True  # whether anything may be written
        self.holds_promises = False  # whether the store must be opened again if its session ends
        self._store_id = store_id
        self._turn = threading.RLock()  # one commit of this process at a time
        self._parts = SessionParts()
        self._state = StateReader(storage, store_id)
        self._catch_up = CatchUp(self, partial(self.write_here, need=8 * MIB), self._state)
        uploads = partial(
            SegmentUploads, storage, store_id, self._parts.next, lambda: self._parts.session
        )
        self._staging = StagedUploads(self, uploads, self._keep_open)
        self._hosts = HostSessions(self)
        self._heads = HeadView(storage, self._state)
        self._uploads: SegmentUploads | None = None

    # -- Reading ------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Txn]:
        """As `Environment.reading`. Sees what other hosts committed a second ago.

        Does not wait for a commit of another thread, which moves the tables on.
        """
        is_due = time.monotonic() - self._looked > self.looks_after
        is_inside = getattr(self._local, "is_inside", False)
        if is_due and not is_inside and self._turn.acquire(blocking=False):
            try:
                self.keep_session(self.refresh())
            finally:
                self._turn.release()
        with super().reading() as txn:
            yield txn

    def refresh(self, stored: StoredObject | None = None) -> BucketHead:
        """Brings the tables to the head.

        Args:
            stored: The head, if it was read just now.

        Raises:
            DamagedStoreError: The head or a run is damaged, or the bucket was rolled back.
            CasyncError: The bucket cannot be read.
        """
        with self._turn:
            given = self._heads.take(stored) if stored is not None else None
            for _ in range(_TRIES):
                with suppress(HeadMovedError):
                    return self._bring(given)
                given = None
        raise LostRaceError(f"{self.storage.place} changes faster than it can be read")

    def _bring(self, given: BucketHead | None = None) -> BucketHead:
        """Brings the tables to a given head, or to the one that there is."""
        standing = self._standing()
        head = given or self._heads.look()  # after the tables, which other processes move on, too
        if standing.head != head:
            if given is not None and not standing.may_become(head):
                raise HeadMovedError("another process has moved the tables on")
            self._catch_up.bring(head, standing)
        self._looked = time.monotonic()
        return head

    def _standing(self) -> Standing:
        with super().reading() as txn:
            return read_standing(txn, self.databases)

    # -- Writing ------------------------------------------------------------------------------

    def write_here(self, action: Callable[[Txn], _T], *, need: int) -> _T:
        """Runs `action` in a transaction on this host's tables alone."""

        def write(txn: Txn) -> _T:
            self._local.is_inside = True
            try:
                return action(txn)
            finally:
                self._local.is_inside = False

        return super().write(write, need=need)

    def write(
        self,
        action: Callable[[Txn], _T],
        *,
        need: int,
        floor: Callable[[int], int] | None = None,
        edit: Callable[[BucketHead], BucketHead] | None = None,
    ) -> _T:
        """As `Environment.write`: a commit to the bucket, if it changes what others see.

        Args:
            action: Writes. It runs again if another writer was faster.
            need: As of `Environment.write`.
            floor: Says at which generation the session has its floor from now on.
            edit: Changes the head beforehand.

        Raises:
            LostRaceError: The session was ended, and with it what it was promised.
            CasyncError: As of `Environment.write`, or the bucket failed.
        """
        if not self.databases.keys() >= set(HOST_DATABASES):
            return self.write_here(action, need=need)  # which adds them
        if not self.commits:
            raise WriteError(f"{self.storage.place} is open for reading only")
        with self._turn:
            self._uploads = self._staging.take()
            try:
                for attempt in range(_TRIES):
                    recent = self._heads.recent if not attempt else None
                    head = recent or self.refresh()
                    self._check_session(head)
                    run = partial(self._mirrored, action, head, floor, edit, recent is None)
                    try:
                        result = self.write_here(run, need=need)
                    except HeadMovedError:
                        time.sleep(random.random() * _PAUSE_SECONDS * min(attempt, 10))  # noqa: S311
                        continue
                    except NoSessionError:
                        self._open_session()
                        continue
                    self._merge_runs()
                    return result
            finally:
                self._uploads = None
        raise LostRaceError(f"{self.storage.place} changes faster than it can be written")

    def stage(self, pending: Pending) -> None:
        """Uploads records that the store lacks, beside other commits.

        The next `write` of this thread uses what it finds uploaded.

        Raises:
            LostRaceError, CasyncError: As `write`.
        """
        if pending.keys and self.commits:
            self._staging.stage(pending)

    def _keep_open(self) -> None:
        with self._turn:
            self._check_session(self.refresh())
            if not self._parts.session:
                self._open_session()

    def _mirrored(
        self,
        action: Callable[[Txn], _T],
        head: BucketHead,
        floor: Callable[[int], int] | None,
        edit: Callable[[BucketHead], BucketHead] | None,
        is_certain: bool,
        txn: Txn,
    ) -> _T:
        if read_standing(txn, self.databases).head != head:
            raise HeadMovedError("another process of this host was faster")
        recorder = Recorder(txn, self.databases)
        try:
            result = action(recorder.txn)
        except NoSessionError:
            raise
        except CasyncError:  # which counts if the tables are those of now
            self._check_current(head, is_certain=is_certain)
            raise
        run = changed_run(recorder, self.databases, self._store_id)
        generation = read_generation(txn, self.databases["meta"])
        if run is None and generation == head.generation and floor is None and edit is None:
            self._check_current(head, is_certain=is_certain)
            return result
        part = self._parts.next()
        new: NewRun | None = None
        if run is not None:
            changes = sorted([commit_change(head), *run.changes], key=itemgetter(0, 1))
            data = encode_run(*run._replace(changes=changes))
            self.storage.put(run_key(part), data)
            new = NewRun(part, len(data))
        swapped = after_swap(
            edit(head) if edit is not None else head,
            self._parts.session,
            number=self._parts.number,
            now=int(self.clock()),
            floor=floor(generation) if floor is not None else None,
            generation=generation,
            run=new,
        )
        put_standing(txn, self.databases, Standing(swapped, swapped.version))
        self._heads.swap(head, swapped)
        self._looked = time.monotonic()
        return result

    def _check_current(self, head: BucketHead, *, is_certain: bool) -> None:
        """Checks a head that nothing is swapped for, unless that is certain."""
        if not is_certain and self._heads.look() != head:
            raise HeadMovedError("another host was faster")

    @property
    def uploads(self) -> SegmentUploads:
        """What uploads segments for the running transaction."""
        assert self._uploads is not None
        return self._uploads

    # -- The head -----------------------------------------------------------------------------

    @property
    def session(self) -> bytes:
        """The open session; empty if there is none."""
        return self._parts.session

    def _check_session(self, head: BucketHead) -> None:
        """Drops a session that was ended, if nothing was promised to it.

        Raises:
            LostRaceError: Something was; a caller that relies on it must begin anew.
        """
        if not self._parts.session or head.session(self._parts.session) is not None:
            return
        if self.holds_promises:
            raise LostRaceError(
                "the session of this writer was silent for too long and has been ended",
                next_step="Run the command again.",
            )
        self._parts.session = b""

    def keep_session(self, head: BucketHead) -> None:
        """Says that the session lives, a few times a day. A failure is that of the next try."""
        mine, now = head.session(self._parts.session), int(self.clock())
        if mine is not None and abs(now - mine.heard) > _HEARD_SECONDS:
            with self._turn, suppress(CasyncError):
                swapped = after_swap(head, mine.session, number=self._parts.skip(), now=now)
                self._heads.swap(head, swapped)

    def begin_session(self) -> int | None:
        """Opens a session with its floor; returns the generation, or None if one is open."""
        with self._turn:
            self._check_session(self._heads.recent or self.refresh())
            return None if self._parts.session else self._open_session(has_floor=True)

    def _open_session(self, *, has_floor: bool = False) -> int:
        """Opens a session; returns the generation at that moment."""
        hosts, session = self._hosts, secrets.token_bytes(SESSION_BYTES)
        self.write_here(partial(hosts.add, session=session), need=MIB)

        def opened(head: BucketHead) -> BucketHead:
            floor = head.generation if has_floor else NO_FLOOR
            return with_session(head, session, int(self.clock()), floor)

        head = self._swap_session(opened)
        self._parts.begin(session)  # not before: a collection deletes what no open session names
        for each in self.write_here(hosts.dead, need=MIB):  # of killed processes of this host
            self._swap_session(partial(without_session, session=each))
            self.write_here(partial(hosts.drop, session=each), need=MIB)
        with suppress(HeadMovedError):  # the next commit brings the tables on
            self._bring(self._heads.recent)
        return head.generation

    def _swap_session(self, edit: Callable[[BucketHead], BucketHead | None]) -> BucketHead:
        """Swaps a head with other sessions, if `edit` gives one; returns the head of now."""
        for attempt in range(_TRIES):
            recent = self._heads.recent if not attempt else None
            head = recent or self.refresh()
            swapped = edit(head)
            with suppress(HeadMovedError):
                if swapped is not None:
                    self._heads.swap(head, swapped)
                    return swapped
                if recent is None:
                    return head
        raise LostRaceError(f"{self.storage.place} changes faster than it can be written")

    def _merge_runs(self) -> None:
        """Merges runs if there are many. What fails is done by the next writer."""
        with suppress(CasyncError):
            last = self._heads.last
            entries = plan_merge(last) if last is not None else ()
            if not entries or not self._parts.session:
                return
            part, data = self._parts.next(), merged_run(self._state, entries)
            self.storage.put(run_key(part), data)
            new, now = NewRun(part, len(data)), int(self.clock())
            self._swap_session(
                lambda at: after_merge(at, entries, self._parts.session, new, now=now)
            )

    def close(self) -> None:
        """As `Environment.close`; ends the session first."""
        with self._turn:
            if self._parts.session:
                session, self._parts.session = self._parts.session, b""
                with suppress(CasyncError):  # a collection ends it
                    self._swap_session(lambda head: without_session(head, session))
                    self.write_here(lambda txn: self._hosts.drop(txn, session), need=MIB)
        self._hosts.close()
        super().close()
