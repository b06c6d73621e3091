"""Locks that keep a second writer away from a target."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Final

from casync.errors import LockedError

__all__ = ["lock", "lock_device", "refuse_foreign_locks"]

_FLOCK: Final = "hhqqi4x"  # struct flock of 64-bit Linux
_PROBE_TRIES: Final = 20
_PROBE_SECONDS: Final = 0.1


def lock(fd: int, path: Path) -> None:
    """Locks the whole file for this descriptor, until it is closed.

    Raises:
        LockedError: Another pull has locked it.
        OSError: The file system does not support locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{path} is being written by another pull", next_step="Wait for it, or stop it."
        ) from error


def lock_device(fd: int, path: Path) -> int:
    """Locks a block device; returns a second descriptor, which holds it exclusively.

    udev locks a device briefly while it probes it, so a busy lock is retried. The exclusive open
    fails while the device, or a part of it, is mounted or otherwise in use.

    Raises:
        LockedError: Another pull has locked it, or it is in use.
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
    """Refuses a file with record locks, such as the disk of a running virtual machine.

    Raises:
        LockedError: Another process holds a record lock on it.
    """
    probe = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, probe)
    except OSError:  # the kernel or file system has no such locks
        return
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    if kind != fcntl.F_UNLCK:
        holder = f"process {pid}" if pid > 0 else "another process"
        raise LockedError(f"{path} is locked by {holder}", next_step="Stop that process first.")
