"""The tables of a store in a bucket, and their commits (docs/FORMAT.md section 11.6).

A transaction is tried out on this host's tables, which stand at the head. What it changes is
written as a run, the head is swapped, and then the tables are changed. If another host was faster,
its runs are applied, and the transaction runs again. docs/adr/0016 has the reasons.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Final, TypeVar, cast

from casync.bucket.commit import (
    NewRun,
    after_merge,
    after_swap,
    plan_merge,
)
from casync.bucket.head import BucketHead
from casync.bucket.keys import run_key
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
from casync.store.bucket.own_session import TRIES, OwnSession
from casync.store.bucket.segments import NoSessionError, NotUploadedError, SegmentUploads
from casync.store.bucket.session_parts import SessionParts
from casync.store.bucket.staged_uploads import StagedUploads
from casync.store.bucket.state_reader import StateReader
from casync.store.bucket.tables import HOST_DATABASES, Standing, read_standing
from casync.store.bucket.trial import TriedCommit, replay, try_out
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.pending import Pending

__all__ = ["BucketEnvironment"]

_T = TypeVar("_T")

_PAUSE_SECONDS: Final = 0.02
_SEEN_SECONDS: Final = 1.0
"""Age of the tables from which on a reader looks for a newer head."""


class _UndoneError(CasyncError):
    """Ends a transaction of which nothing is to stay."""


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
        self._store_id = store_id
        self._turn = threading.RLock()  # one commit of this process at a time
        self._bringing = threading.RLock()  # one thread brings the tables on; taken after _turn
        self._parts = SessionParts()
        self._state = StateReader(storage, store_id)
        self._catch_up = CatchUp(self, partial(self.write_here, need=8 * MIB), self._state)
        uploads = partial(
            SegmentUploads, storage, store_id, self._parts.next, lambda: self._parts.session
        )
        self._staging = StagedUploads(self, uploads, self._keep_open)
        self._hosts = HostSessions(self)
        self._heads = HeadView(storage, self._state, path)
        self.own = OwnSession(
            self._hosts,
            self._heads,
            self._parts,
            self.refresh,
            partial(self.write_here, need=MIB),
            clock,
        )
        self._uploads: SegmentUploads | None = None
        self._sent: dict[int, object] = {}  # what tries of the running commit give, by their number

    # -- Reading ------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Txn]:
        """As `Environment.reading`. Sees what other hosts committed a second ago.

        Does not wait for another thread that brings the tables on.
        """
        is_due = time.monotonic() - self._looked > self.looks_after
        is_inside = getattr(self._local, "is_inside", False)
        if is_due and not is_inside and self._bringing.acquire(blocking=False):
            try:
                head = self.refresh()
            finally:
                self._bringing.release()
            self.keep_session(head)
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
        with self._bringing:
            given = self._heads.take(stored) if stored is not None else None
            for _ in range(TRIES):
                with suppress(HeadMovedError):
                    return self._bring(given)
                given = None
        raise LostRaceError(f"{self.storage.place} changes faster than it can be read")

    def _bring(self, given: BucketHead | None = None) -> BucketHead:
        """Brings the tables to a given head, or to the one that there is."""
        standing = self._standing()
        head = given or self._heads.look()  # after the tables, which other processes move on, too
        if standing != Standing(head, head.version):
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
                result = self._commit(action, need, floor, edit)
            finally:
                self._uploads = None
            self._merge_runs()
            return result

    def _commit(
        self,
        action: Callable[[Txn], _T],
        need: int,
        floor: Callable[[int], int] | None,
        edit: Callable[[BucketHead], BucketHead] | None,
    ) -> _T:
        is_moved = False
        self._sent.clear()
        for attempt in range(TRIES):
            recent = self._heads.recent if not is_moved else None
            head = recent or self.refresh()
            self.own.check(head)
            mine = head.session(self.session)
            if mine is not None and mine.number in self._sent:
                return cast("_T", self._sent[mine.number])  # a swap that came late
            try:
                return self._attempt(action, head, need, floor, edit, is_certain=recent is None)
            except HeadMovedError:
                is_moved = True
                time.sleep(random.random() * _PAUSE_SECONDS * min(attempt, 10))  # noqa: S311
            except NoSessionError:
                self._open_session()
            except NotUploadedError as error:
                self._staging.upload(self.uploads, error.pending)
        raise LostRaceError(f"{self.storage.place} changes faster than it can be written")

    def _attempt(
        self,
        action: Callable[[Txn], _T],
        head: BucketHead,
        need: int,
        floor: Callable[[int], int] | None,
        edit: Callable[[BucketHead], BucketHead] | None,
        *,
        is_certain: bool,
    ) -> _T:
        """Tries a commit out, and sends it.

        A refusal, and a commit that changes nothing for others, count at the present head alone.

        Raises:
            HeadMovedError: Another writer was, or may have been, faster.
            NoSessionError, NotUploadedError: That must be done before.
        """
        changes_head = floor is not None or edit is not None
        try:
            trial = self._try(action, head, need, keeps=is_certain and not changes_head)
        except (HeadMovedError, NoSessionError, NotUploadedError):
            raise
        except CasyncError as error:
            if is_certain:
                raise
            raise HeadMovedError("the head is to be looked at") from error
        if changes_head or trial.changes(head):
            self._send(trial, head, need, floor, edit)
        elif not is_certain:
            raise HeadMovedError("the head is to be looked at")
        return trial.result

    def _try(
        self, action: Callable[[Txn], _T], head: BucketHead, need: int, *, keeps: bool
    ) -> TriedCommit[_T]:
        """Tries an action out.

        Args:
            action: The action.
            head: Where the tables must stand.
            need: As of `Environment.write`.
            keeps: Whether what it does to rows of this host alone is done at once.
        """
        trial: TriedCommit[_T] | None = None

        def run(txn: Txn) -> None:
            nonlocal trial
            trial = try_out(action, txn, self.databases, self._store_id, head)
            if not keeps or trial.changes(head):
                raise _UndoneError("tried out")

        with suppress(_UndoneError):
            self.write_here(run, need=need)
        assert trial is not None
        return trial

    def _send(
        self,
        trial: TriedCommit[_T],
        head: BucketHead,
        need: int,
        floor: Callable[[int], int] | None,
        edit: Callable[[BucketHead], BucketHead] | None,
    ) -> None:
        """Sends a commit to the bucket, and then does it to the tables."""
        part = self._parts.next()
        new: NewRun | None = None
        if trial.run is not None:
            changes = sorted([commit_change(head), *trial.run.changes], key=itemgetter(0, 1))
            data = encode_run(*trial.run._replace(changes=changes))
            self.storage.put(run_key(part), data)
            new = NewRun(part, len(data))
        number = self._parts.number
        swapped = after_swap(
            edit(head) if edit is not None else head,
            self._parts.session,
            number=number,
            now=int(self.clock()),
            floor=floor(trial.generation) if floor is not None else None,
            generation=trial.generation,
            run=new,
        )
        self._sent[number] = trial.result
        self._heads.swap(head, swapped)
        if self.write_here(partial(replay, trial, self.databases, swapped), need=need):
            self._looked = time.monotonic()
        else:
            self.refresh()

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
            self.own.check(self.refresh())
            if not self._parts.session:
                self._open_session()

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

    def keep_session(self, head: BucketHead) -> None:
        """Says that the session lives, a few times a day, unless a commit does so just now."""
        if self.own.is_silent(head) and self._turn.acquire(blocking=False):
            try:
                self.own.say_alive(head)
            finally:
                self._turn.release()

    def begin_session(self) -> int | None:
        """Opens a session with its floor; returns the generation, or None if one is open."""
        with self._turn:
            self.own.check(self._heads.recent or self.refresh())
            return None if self._parts.session else self._open_session(has_floor=True)

    def _open_session(self, *, has_floor: bool = False) -> int:
        generation = self.own.open(has_floor=has_floor)
        with self._bringing, suppress(HeadMovedError):  # the next commit brings the tables on
            self._bring(self._heads.recent)
        return generation

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
            self.own.swap(lambda at: after_merge(at, entries, self.session, new, now=now))

    def close(self) -> None:
        """As `Environment.close`; ends the session first."""
        with self._turn:
            self.own.end()
        self._hosts.close()
        super().close()
