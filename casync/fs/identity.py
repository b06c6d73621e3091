"""What tells one state of a file from another without reading it."""

from __future__ import annotations

import os

from casync.store.base import FileIdentity

__all__ = ["identity_of"]


def identity_of(status: os.stat_result) -> FileIdentity:
    """What a file system says of a file."""
    return FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
