"""Brings the tables of a host to a head: all that is new in one transaction, or in many steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from casync.bucket.commit import runs_to_read
from casync.bucket.head import BucketHead, RunEntry
from casync.bucket.lineage import continues
from casync.errors import CasyncError, DamagedStoreError
from casync.limits import MIB
from casync.store.bucket.run_file import RunFile
from casync.store.bucket.run_load import RunLoad
from casync.store.bucket.state_reader import StateReader
from casync.store.bucket.tables import Standing, put_standing, read_standing
from casync.store.lmdb.byte_lock import LOAD_BYTE, ByteLocks
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.lmdb_errors import translate

__all__ = ["CatchUp", "HeadMovedError"]

_STEPPED_BYTES: Final = MIB
"""Bytes of runs from which on they are applied in steps."""

_AT_ONCE: Final = 4


class HeadMovedError(CasyncError):
    """Another writer has swapped the head; what was begun runs again."""


class CatchUp:
    """What keeps the tables of one host in step. Used by one thread at a time.

    Args:
        environment: The tables.
        write: Runs an action in a transaction on them alone.
        state: Reads the bucket.
    """

    def __init__(
        self,
        environment: Environment,
        write: Callable[[Callable[[Txn], None]], None],
        state: StateReader,
    ) -> None:
        self._environment = environment
        self._write = write
        self._state = state

    def bring(self, head: BucketHead, before: Standing) -> None:
        """Applies what is new in a head.

        Args:
            head: The head.
            before: Where the tables stand.

        Raises:
            HeadMovedError: They stand elsewhere, or a run was merged away.
            DamagedStoreError: A run is missing or damaged, or the bucket was rolled back.
            CasyncError: The bucket cannot be read, or the tables cannot be written.
        """
        if not before.may_become(head):
            raise self._rolled_back(head, before)
        runs = runs_to_read(head, before.version).runs
        whole = bool(runs) and runs[0].first == 0
        if sum(run.size for run in runs) < _STEPPED_BYTES:
            with self._files(runs) as files:
                self._check_lineage(files, head, before)
                self._write(partial(self._apply_all, files, whole, head, before))
            return
        with self._alone():
            self._write(partial(self._check, before))  # before anything is fetched
            with self._files(runs) as files:
                self._check_lineage(files, head, before)
                self._write(partial(self._begin, head, before))
                before = before._replace(applying=head)
                load = RunLoad(files, self._environment.databases, whole=whole)
                for step in load.steps():
                    self._write(partial(self._apply, step, before))
                self._write(partial(self._finish, load, head, before))

    def _apply_all(
        self,
        files: Sequence[RunFile],
        whole: bool,
        head: BucketHead,
        before: Standing,
        txn: Txn,
    ) -> None:
        self._check(before, txn)
        load = RunLoad(files, self._environment.databases, whole=whole)
        for step in load.steps():
            step(txn)
        self._finish(load, head, before, txn)

    def _begin(self, head: BucketHead, before: Standing, txn: Txn) -> None:
        """Notes what is begun: a bucket that is rolled back then has less than these tables."""
        self._check(before, txn)
        put_standing(txn, self._environment.databases, before._replace(applying=head))

    def _apply(self, step: Callable[[Txn], None], before: Standing, txn: Txn) -> None:
        self._check(before, txn)
        step(txn)

    def _finish(self, load: RunLoad, head: BucketHead, before: Standing, txn: Txn) -> None:
        self._check(before, txn)
        load.finish(txn)
        put_standing(txn, self._environment.databases, Standing(head, head.version))

    def _check(self, before: Standing, txn: Txn) -> None:
        if read_standing(txn, self._environment.databases) != before:
            raise HeadMovedError("another process has changed the tables")

    def _check_lineage(self, files: Sequence[RunFile], head: BucketHead, before: Standing) -> None:
        """Refuses a head that lacks what these tables have seen: rows of it would stay here.

        Raises:
            DamagedStoreError: It does.
        """
        changes = [change for file in files for change in file.changes] if before.seen else []
        if not all(continues(head, seen, changes) for seen in before.seen):
            raise self._rolled_back(head, before)

    def _rolled_back(self, head: BucketHead, before: Standing) -> DamagedStoreError:
        version = max([before.version, *(seen.version for seen in before.seen)])
        was = f"was at {version} before"
        if head.version >= version:
            was = f"has lost what this host saw at version {version}"
        return DamagedStoreError(
            f"{self._state.place} is at version {head.version}, but {was}: it was rolled back",
            next_step=f"If that was intended, remove {self._environment.path}.",
        )

    @contextmanager
    def _files(self, runs: Sequence[RunEntry]) -> Iterator[list[RunFile]]:
        """Fetches runs, several at once."""

        def fetch(entry: RunEntry) -> RunFile | None:
            return self._state.file(entry, self._environment.path)

        with ExitStack() as stack:
            if len(runs) < 2:
                fetched = list(map(fetch, runs))
            else:
                with ThreadPoolExecutor(min(_AT_ONCE, len(runs))) as pool:
                    fetched = list(pool.map(fetch, runs))
            files = [file for file in fetched if file is not None]
            for file in files:
                stack.callback(file.close)
            if len(files) < len(runs):
                raise HeadMovedError("a run was merged away")
            yield files

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process of this host takes many steps at a time."""
        try:
            locks = ByteLocks(self._environment.path)
            try:
                while not locks.take(LOAD_BYTE):
                    locks.wait(LOAD_BYTE)
                yield
            finally:
                locks.close()
        except OSError as error:
            raise translate(error, self._environment.path, need=0) from error
