"""Making names durable: of what lies in a folder, and of the folders on the way to it."""

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
    """Makes the names of all folders on the way to `path` durable, as far as its disk goes.

    Any of them may be new, made by us or by a maker that was killed before it came to this.

    Raises:
        OSError: The disk refuses.
    """
    device = path.stat().st_dev
    for folder in Path(os.path.realpath(path)).parents:
        with suppress(PermissionError):  # one that we may enter but not read
            if folder.stat().st_dev != device:
                return
            sync_folder(folder)
