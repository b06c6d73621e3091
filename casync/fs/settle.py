"""Makes durable what an earlier run wrote or renamed, perhaps one that was killed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from casync.fs.os_errors import writing

__all__ = ["settle_file", "settle_name", "sync_folder"]

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})


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
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_folder(folder)
        finally:
            os.close(folder)


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
