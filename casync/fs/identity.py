"""File identity: tells one state of a file from another without reading it."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from casync.objects.tree import bounded_time

__all__ = ["NO_FILE", "FileIdentity", "identity_of"]


class FileIdentity(msgspec.Struct, frozen=True):
    """Status fields of a file; unequal identities mean that it may have changed."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


NO_FILE: Final = FileIdentity(0, 0, 0, 0, 0)
"""The identity of no file."""


def identity_of(status: os.stat_result) -> FileIdentity:
    """The identity in a file's status."""
    return FileIdentity(
        status.st_dev,
        status.st_ino,
        status.st_size,
        bounded_time(status.st_mtime_ns),
        bounded_time(status.st_ctime_ns),
    )
