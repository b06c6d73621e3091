"""Translates errors of LMDB and the system into casync's own.

LMDB reports a full disk as an input/output error when a write comes back short, so the free space
is checked before a disk is called broken.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from casync.errors import (
    CasyncError,
    DamagedStoreError,
    DeniedError,
    LockedError,
    NoSpaceError,
    UnsupportedError,
    UsageError,
    WriteError,
)
from casync.fs.os_errors import free_bytes, no_space
from casync.sizes import format_size

__all__ = ["REBUILD", "SALVAGE", "exceeded_limit", "reading_errors", "translate"]

REBUILD: Final = "`casync store reindex` rebuilds the index from the segments."
SALVAGE: Final = "`casync store reindex --salvage FILE` makes a new store of all undamaged objects."

_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.BadTxnError,  # follows a damaged page in the same transaction
    lmdb.IncompatibleError,
    lmdb.NotFoundError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    lmdb.BadValsizeError,
)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LIMITED: Final = frozenset({errno.EFBIG, errno.EIO})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Translates errors while the store at `path` is read."""
    try:
        yield
    except (lmdb.Error, OSError, MemoryError) as error:
        raise translate(error, path) from error


def translate(
    error: lmdb.Error | OSError | MemoryError, path: Path, *, need: int | None = None
) -> CasyncError:
    """Translates an error of the store at `path`.

    Args:
        error: The caught error.
        path: The store's folder.
        need: When writing, about how many bytes were to be written. None when reading.
    """
    code = _code(error)
    if isinstance(error, lmdb.Error) and code == 0:
        if "already open" in str(error):
            return LockedError(
                f"store {path} is already open in this process, or was when it was forked",
                next_step="Close it first, or start workers with spawn or forkserver.",
            )
        return UsageError(f"store {path}: {error}")
    if isinstance(error, lmdb.VersionMismatchError):
        return UnsupportedError(f"store {path} was written by an LMDB other than 0.9")
    if isinstance(error, lmdb.ReadersFullError):
        return LockedError(
            f"store {path} has reached its limit of readers", next_step="Try again in a moment."
        )
    if need is not None and code in _LIMITED and (limit := exceeded_limit(path, need)):
        return NoSpaceError(
            f"the files of the store {path} may not grow beyond {format_size(limit)} (ulimit -f)",
            next_step="Raise that limit and run the command again; nothing acknowledged is lost.",
        )
    free = free_bytes(path) or 0
    if code in _FULL or (need is not None and code == errno.EIO and free < need):
        return no_space(
            path,
            need or 0,
            free,
            "Free some space and run the command again; nothing acknowledged is lost.",
        )
    if isinstance(error, lmdb.ReadonlyError) or code == errno.EROFS:
        return WriteError(f"store {path} is read-only: {_reason(error)}")
    if code in _DENIED:
        verb = "read" if need is None else "write"
        return DeniedError(
            f"cannot {verb} the store {path}: {_reason(error).lower()}",
            next_step="Run the command as the user who owns it, or choose another with --store.",
        )
    if isinstance(error, (MemoryError, lmdb.MemoryError)):
        return CasyncError(f"store {path}: not enough memory or address space")
    if isinstance(error, _DAMAGE):
        return DamagedStoreError(f"store {path} is damaged: {_reason(error)}", next_step=SALVAGE)
    if need is None:
        return DamagedStoreError(f"store {path} cannot be read: {_reason(error)}")
    return WriteError(f"store {path} cannot be written: {_reason(error)}")


def _code(error: BaseException) -> int | None:
    if isinstance(error, lmdb.Error):
        return error.code
    return error.errno if isinstance(error, OSError) else None


def _reason(error: BaseException) -> str:
    code = _code(error)
    return os.strerror(code) if code is not None and code > 0 else str(error)


def exceeded_limit(path: Path, need: int) -> int:
    """The limit on file size in bytes, if a write of `need` bytes exceeds it; otherwise 0."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        size = (path / "data.mdb").stat().st_size
    except OSError:
        size = 0
    return 0 if limit == resource.RLIM_INFINITY or size + need <= limit else limit
