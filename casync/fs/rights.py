"""Gives this user rights on own folders: a tree may have folders that their owner cannot enter.

A folder is changed through a descriptor of it, so no link and no folder of another user is changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import suppress
from typing import Final

from casync.fs.beneath import FOLDER, open_beneath, open_child

__all__ = ["close_again", "open_up"]

_FCHMODAT2: Final = 452  # on every architecture; since Linux 6.6
_EMPTY_PATH: Final = 0x1000
_ALL: Final = os.R_OK | os.W_OK | os.X_OK

_libc = ctypes.CDLL(None, use_errno=True)


def open_up(parent: int, name: bytes) -> int | None:
    """Lets us list, enter and change a folder, if it is ours and we may not.

    Args:
        parent: The open folder that it is in.
        name: Its name; a link is left alone.

    Returns:
        Its mode before, or None if it was not changed.

    Raises:
        OSError: It cannot be changed.
    """
    if os.access(name, _ALL, dir_fd=parent, effective_ids=True):
        return None
    fd = open_child(parent, name, os.O_PATH)
    try:
        status = os.fstat(fd)
        is_ours = status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode)
        if not is_ours or status.st_mode & stat.S_IRWXU == stat.S_IRWXU:
            return None
        mode = stat.S_IMODE(status.st_mode)
        _change_mode(fd, mode | stat.S_IRWXU)
        return mode
    finally:
        os.close(fd)


def _change_mode(fd: int, mode: int) -> None:
    """As fchmod(2), which takes no descriptor that was opened without a right to read."""
    if not _libc.syscall(_FCHMODAT2, fd, b"", mode, _EMPTY_PATH):
        return
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EPERM):
        raise OSError(code, os.strerror(code))
    os.chmod(f"/proc/self/fd/{fd}", mode)


def close_again(root: int, opened: list[tuple[bytes, int]]) -> None:
    """Gives folders below `root` the modes back that they had before `open_up`, as far as possible.

    Args:
        root: An open folder.
        opened: Paths and modes, folders before what is in them.
    """
    for path, mode in reversed(opened):
        with suppress(OSError):
            fd = open_beneath(root, path, FOLDER)
            try:
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
