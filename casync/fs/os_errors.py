"""Translates errors of the operating system on local paths into casync's own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from casync.errors import (
    CasyncError,
    DeniedError,
    NoSpaceError,
    NotFoundError,
    UsageError,
    WriteError,
)
from casync.sizes import format_size

__all__ = [
    "free_bytes",
    "no_folder",
    "no_space",
    "read_error",
    "reading",
    "write_error",
    "writing",
    "writing_inside",
]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_RESUMES: Final = "Free some space and run the command again; it resumes where it stopped."


@contextmanager
def writing(path: Path, need: int = 0) -> Iterator[None]:
    """Translates errors while about `need` bytes are written to `path`; 0 if that is not known.

    Raises:
        NoSpaceError: The disk is full, or a quota or a limit on file size is reached.
        DeniedError: A right is missing.
        WriteError: Any other error.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error, path, need) from error


@contextmanager
def writing_inside(folder: Path, path: bytes, need: int = 0) -> Iterator[None]:
    """As `writing`, for a path in a folder. Cheap without errors: it runs for each of many files.

    Raises:
        NoSpaceError, DeniedError, WriteError: As `writing`.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error, folder / os.fsdecode(path), need) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Translates errors while bytes of a target are read back.

    Raises:
        WriteError: Always: a target that cannot be read cannot be finished.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot read {path}: {error.strerror or error}") from error


def read_error(error: OSError, what: str) -> CasyncError:
    """Translates an error of a file that a user named: it is missing, a folder, or not readable.

    Args:
        error: The error.
        what: What the file has, and its path.
    """
    message = f"cannot read {what}: {error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(message)
    if error.errno in (errno.EACCES, errno.EPERM):
        return DeniedError(message)
    return UsageError(message) if error.errno == errno.EISDIR else CasyncError(message)


def write_error(error: OSError, path: Path, need: int = 0) -> CasyncError:
    """Translates an error at `path`: NoSpaceError, DeniedError or WriteError."""
    if error.errno == errno.EFBIG:
        return NoSpaceError(f"{path}: too large for the file system or a limit (ulimit -f)")
    if error.errno in _FULL:
        return no_space(path, need, free_bytes(path) or 0)
    if error.errno == errno.EACCES:
        return DeniedError(f"cannot write {path}: permission denied")
    return WriteError(f"cannot write {path}: {error.strerror or error}")


def no_folder(path: Path) -> WriteError:
    """The error for a folder that must be there, and is not made."""
    return WriteError(f"there is no folder {path}", next_step="Create it first.")


def no_space(path: Path, need: int, have: int, next_step: str = _RESUMES) -> NoSpaceError:
    """The error for a full disk.

    Args:
        path: The target.
        need: Bytes to be written; 0 if that is not known.
        have: Bytes that are free.
        next_step: What to do.
    """
    needed, free = format_size(need), format_size(have)
    if needed == free:
        needed, free = f"{need} B", f"{have} B"
    wanted = f"{needed} needed, " if need else ""
    return NoSpaceError(f"no space on {path}: {wanted}{free} free", next_step=next_step)


def free_bytes(path: Path) -> int | None:
    """Bytes that may still be written at `path`; None if the system does not say.

    For a path that is yet to be made, those of the folder that it will be in.
    """
    for place in (path, *path.parents):
        try:
            status = os.statvfs(place)
        except OSError:
            continue
        return status.f_bavail * status.f_frsize if status.f_blocks else None
    return None
