"""Making durable what was written and named, by this run or by an earlier one that was killed."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from casync.errors import WriteError
from casync.fs.os_errors import writing

__all__ = [
    "settle_file",
    "settle_name",
    "sync_file_system",
    "sync_folder",
    "sync_names",
    "sync_parents",
]

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def settle_file(path: Path) -> None:
    """Makes the current content of the file or device at `path` durable, and its name.

    Raises:
        WriteError: The disk refuses.
    """
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    settle_name(path)


def settle_name(path: Path) -> None:
    """Makes the name of the file at `path` durable.

    Raises:
        WriteError: The disk refuses.
    """
    with writing(path), suppress(PermissionError):  # a folder that may be entered but not read
        sync_names(path.parent)


def sync_names(folder: Path) -> None:
    """Makes the names in a folder durable, where its file system supports that.

    Raises:
        OSError: The disk refuses, or the folder cannot be opened.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(fd)
    finally:
        os.close(fd)


def sync_folder(fd: int) -> None:
    """Makes the names in an open folder durable, where its file system supports that.

    Raises:
        OSError: The disk refuses.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def sync_parents(path: Path) -> None:
    """Makes the names of all folders above `path` durable, up to the root of its file system.

    Any of them may be new, made by this process or by one that was killed before it synced them.

    Raises:
        OSError: The disk refuses.
    """
    device = path.stat().st_dev
    for folder in Path(os.path.realpath(path)).parents:
        with suppress(PermissionError):  # a folder that may be entered but not read
            if folder.stat().st_dev != device:
                return
            sync_names(folder)


def sync_file_system(fd: int) -> None:
    """Writes dirty pages of the file system of an open file or folder to disk.

    Pages that were changed through a mapping are clean afterwards, so the next change updates the
    file's times. Only then do equal times prove equal bytes.

    Raises:
        WriteError: The disk refuses.
    """
    if _LIBC.syncfs(fd):
        code = ctypes.get_errno()
        raise WriteError(f"cannot sync the file system: {os.strerror(code)}")
