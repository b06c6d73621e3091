"""Keeping a second writer away from a target."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Final

from casync.errors import LockedError

__all__ = ["claim_device", "lock", "refuse_foreign_locks"]

_FLOCK: Final = "hhqqi4x"  # struct flock of 64-bit Linux
_PROBE_TRIES: Final = 20
_PROBE_SECONDS: Final = 0.1


def lock(fd: int, path: Path) -> None:
    """Takes the whole file for this descriptor, until it is closed.

    Raises:
        LockedError: Another pull has it.
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{path} is being written by another pull", next_step="Wait for it, or stop it."
        ) from error


def claim_device(fd: int, path: Path) -> int:
    """Takes a block device. Returns a descriptor that holds it besides the lock.

    udev locks a device for the moments in which it looks at it, so a lock in the way may be gone
    soon. An exclusive open fails when the device, or a part of it, is mounted or otherwise used.

    Raises:
        LockedError: Another pull has it, or it is in use.
        OSError: It cannot be opened.
    """
    for left in reversed(range(_PROBE_TRIES)):
        try:
            lock(fd, path)
            break
        except LockedError:
            if not left:
                raise
            time.sleep(_PROBE_SECONDS)
    try:
        return os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise LockedError(f"{path} is in use", next_step="Unmount it first.") from error


def refuse_foreign_locks(fd: int, path: Path) -> None:
    """Refuses a file that a program has record locks on, as virtual machines do on their disks.

    Raises:
        LockedError: There is one.
    """
    probe = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, probe)
    except OSError:  # no such locks here, so nobody has one
        return
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    if kind != fcntl.F_UNLCK:
        holder = f"process {pid}" if pid > 0 else "another process"
        raise LockedError(f"{path} is locked by {holder}", next_step="Stop what uses it first.")
