"""Presence: which processes have a store open, shared or exclusively.

Each holds a lock on one byte of the lock file, taken before the data file is opened, so no process
opens a data file that is about to be replaced.
"""

from __future__ import annotations

import os
from pathlib import Path

from casync.errors import LockedError, UsageError
from casync.store.lmdb.byte_lock import OPEN_BYTE, ByteLocks
from casync.store.lmdb.lmdb_errors import translate

__all__ = ["be_present", "require_usable"]


def be_present(path: Path, *, writable: bool, alone: bool) -> ByteLocks | None:
    """Locks the store in `path` as open, until the returned locks are closed.

    Args:
        path: The store's folder.
        writable: Whether it is opened for writing.
        alone: Lock it exclusively.

    Returns:
        The locks; None if the lock file cannot be written and the store is only read.

    Raises:
        LockedError: Another process has it open exclusively, or has it open at all when `alone`.
        WriteError, NoSpaceError: The lock file cannot be written.
    """
    try:
        locks = ByteLocks(path)
    except OSError as error:
        if writable:
            raise translate(error, path, need=0) from error
        return None
    try:
        granted = locks.take(OPEN_BYTE) if alone else locks.share(OPEN_BYTE)
    except OSError as error:
        locks.close()
        raise translate(error, path, need=0) from error
    if granted:
        return locks
    locks.close()
    if alone:
        raise LockedError(
            f"store {path} is in use",
            next_step="Try again when no command and no server uses it.",
        )
    raise LockedError(f"store {path} is being compacted", next_step="Try again when that is done.")


def require_usable(path: Path, opener: int, *, closed: bool) -> None:
    """Passes if this process has the store open.

    A forked process would take the transactions of the one that opened it for its own, and end
    them.

    Args:
        path: The folder of the store.
        opener: The process that opened it.
        closed: Whether it closed it again.

    Raises:
        UsageError: It is closed.
        LockedError: This process was forked from the one that opened it.
    """
    if closed:
        raise UsageError(f"store {path} is closed")
    if os.getpid() != opener:
        raise LockedError(
            f"store {path} was open when this process was forked",
            next_step="Open it after the fork, or start workers with spawn or forkserver.",
        )
