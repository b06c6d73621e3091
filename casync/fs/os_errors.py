"""What the system says when a local place cannot be written, told as ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from casync.errors import NoSpaceError, WriteError

__all__ = ["free_bytes", "no_space", "reading", "write_error", "writing", "writing_inside"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(path: Path, need: int = 0) -> Iterator[None]:
    """Translates what goes wrong while about `need` bytes are written to `path`.

    Raises:
        NoSpaceError: The disk, a quota or a limit on the size of files is reached.
        WriteError: Anything else.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error, path, need) from error


@contextmanager
def writing_inside(folder: Path, path: bytes, need: int = 0) -> Iterator[None]:
    """As `writing`, of something in a folder. For each of millions: costs little without errors.

    Raises:
        NoSpaceError, WriteError: As `writing`.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error, folder / os.fsdecode(path), need) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Translates what goes wrong while bytes of a target are read back.

    Raises:
        WriteError: Always that: a target that cannot be read cannot be finished.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot read {path}: {error.strerror or error}") from error


def write_error(error: OSError, path: Path, need: int = 0) -> NoSpaceError | WriteError:
    """The error of ours for what went wrong at `path`."""
    if error.errno == errno.EFBIG:
        return NoSpaceError(f"{path}: too large for the file system or a limit (ulimit -f)")
    if error.errno in _FULL:
        return no_space(path, need, free_bytes(path) or 0)
    return WriteError(f"cannot write {path}: {error.strerror or error}")


def no_space(path: Path, need: int, have: int) -> NoSpaceError:
    """Says how much is missing; nothing that was written gets lost."""
    return NoSpaceError(
        f"no space on {path} (need about {need} bytes, have {have})",
        next_step="Free some space and run the command again; it goes on where it stopped.",
    )


def free_bytes(path: Path) -> int | None:
    """Bytes that may still be written at `path` or beside it; None when that cannot be told."""
    for place in (path, path.parent):
        try:
            status = os.statvfs(place)
        except OSError:
            continue
        return status.f_bavail * status.f_frsize if status.f_blocks else None
    return None
