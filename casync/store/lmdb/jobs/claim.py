"""Claims of jobs: the lock that says that a job's runner lives, and the runner's view of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol, Self

from casync.jobs.job import JobRow
from casync.jobs.spec import JobSpec
from casync.store.lmdb.byte_lock import JOB_BYTES, ByteLocks
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.jobs.commit import read_job
from casync.store.lmdb.jobs.rows import stop_key
from casync.store.lmdb.lmdb_errors import translate

__all__ = ["JobLock", "LmdbClaim", "has_runner", "lock_job"]

_BASE: Final = 36
_DIGITS: Final = slice(4, None)  # behind `dnl-`


class JobLock(Protocol):
    """What keeps others from running a job."""

    def close(self) -> None:
        """Lets others run it. May be called again."""
        ...


def lock_job(path: Path, ident: str) -> ByteLocks | None:
    """Locks the byte of a job of the store in `path`; None if another holder has it.

    Raises:
        NoSpaceError, WriteError: The lock file cannot be written.
    """
    try:
        locks = ByteLocks(path)
    except OSError as error:
        raise translate(error, path, need=0) from error
    try:
        if locks.take(_byte(ident)):
            return locks
    except OSError as error:
        locks.close()
        raise translate(error, path, need=0) from error
    locks.close()
    return None


def has_runner(path: Path, ident: str) -> bool:
    """Whether the byte of a job is locked. Needs no permission to write."""
    try:
        locks = ByteLocks(path, read_only=True)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise translate(error, path) from error
    try:
        return locks.is_taken(_byte(ident))
    finally:
        locks.close()


def _byte(ident: str) -> int:
    return JOB_BYTES[int(ident[_DIGITS], _BASE)]


class LmdbClaim:
    """A `JobClaim`.

    Args:
        environment: The store's environment.
        lock: What keeps others from running the job.
        row: The job as claimed.
        spec: Its specification with its secrets.
    """

    def __init__(self, environment: Environment, lock: JobLock, row: JobRow, spec: JobSpec) -> None:
        self._environment = environment
        self._lock = lock
        self.row = row
        self.spec = spec

    def stop_requested(self) -> bool:
        """As `JobClaim.stop_requested`."""
        databases = self._environment.databases
        with self._environment.reading() as txn:
            if txn.get(stop_key(self.row.id), db=databases["jobs"]) is not None:
                return True
            row = read_job(txn, databases, self.row.id)
        return row is None or row.epoch != self.row.epoch

    def release(self) -> None:
        """As `JobClaim.release`."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
