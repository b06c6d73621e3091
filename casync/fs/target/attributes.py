"""Owner, mode and extended attributes of a target file."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["copy_attributes", "set_new_attributes"]

_OF_THE_BYTES: Final = frozenset({"security.capability", "security.ima", "security.evm"})
"""Attributes that vouch for the old bytes or grant them privileges."""


def set_new_attributes(fd: int) -> None:
    """Gives a new file the usual mode: 0666 without the umask."""
    with suppress(OSError):  # the file system has no modes
        os.fchmod(fd, 0o666 & ~_umask())


def copy_attributes(fd: int, path: Path, old: os.stat_result) -> list[str]:
    """Copies owner, mode and extended attributes of the replaced file, where permitted.

    Args:
        fd: The new file.
        path: The old file.
        old: The old file's status.

    Returns:
        Notes about what could not be kept.
    """
    notes = []
    if old.st_nlink > 1:
        notes.append(f"{path} had {old.st_nlink - 1} more hard links; they keep the old bytes")
    mode = stat.S_IMODE(old.st_mode)
    if not _give_to(fd, old):
        mode &= 0o777
        notes.append(f"the owner or group of {path} could not be kept")
    if not _copy_attributes(fd, path):
        notes.append(f"some extended attributes of {path} could not be kept")
    try:
        os.fchmod(fd, mode)
    except OSError:
        notes.append(f"the mode of {path} could not be kept")
    return notes


def _give_to(fd: int, old: os.stat_result) -> bool:
    new = os.fstat(fd)
    if (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid):
        return True
    try:
        os.fchown(fd, old.st_uid, old.st_gid)
    except OSError:
        with suppress(OSError):
            os.fchown(fd, -1, old.st_gid)
        return False
    return True


def _copy_attributes(fd: int, path: Path) -> bool:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:  # the file system has no attributes
        return True
    kept = True
    for name in names:
        if name in _OF_THE_BYTES:
            continue
        try:
            value = os.getxattr(path, name, follow_symlinks=False)
            if not _has(fd, name, value):
                os.setxattr(fd, name, value)
        except OSError:
            kept = False
    return kept


def _has(fd: int, name: str, value: bytes) -> bool:
    try:
        return os.getxattr(fd, name) == value
    except OSError:
        return False


def _umask() -> int:
    """The process's umask, read without changing it, since other threads depend on it."""
    try:
        found = re.search(rb"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_bytes(), re.M)
    except OSError:
        found = None
    if found is not None:
        return int(found[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
