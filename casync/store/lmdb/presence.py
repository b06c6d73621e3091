"""Who has a store open: everybody shares a byte of the lock file, or one has it alone.

The byte is locked before the data file is opened, so nobody opens one that is about to be replaced.
"""

from __future__ import annotations

from pathlib import Path

from casync.errors import LockedError
from casync.store.lmdb.byte_lock import OPEN_BYTE, ByteLocks
from casync.store.lmdb.lmdb_errors import translate

__all__ = ["be_present"]


def be_present(path: Path, *, writable: bool, alone: bool) -> ByteLocks | None:
    """Tells other processes that the store in `path` is open, until the locks are closed.

    Args:
        path: The store's folder.
        writable: Whether it is to be written.
        alone: Let nobody else open it, either.

    Returns:
        The locks; None where not even these can be written, and reading is all there is.

    Raises:
        LockedError: Somebody has it open, when alone; or somebody has it alone.
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
            f"store {path} is open elsewhere",
            next_step="Try again when nobody prepares, pulls or serves with it.",
        )
    raise LockedError(f"store {path} is being compacted", next_step="Try again when that is done.")
