"""Makes names durable: the entries of a folder, and all folders above it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["sync_folder", "sync_parents"]


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable.

    Raises:
        OSError: The disk refuses.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
            sync_folder(folder)
