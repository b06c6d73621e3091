"""Resolves a path, but through no link that another user has put where everybody may write.

The kernel refuses such links if `fs.protected_symlinks` is set, but only those that it follows
itself: a program that resolves a path first, as realpath(3) does, walks into them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from pathlib import Path
from typing import Final

from casync.errors import DeniedError

__all__ = ["resolve"]

_MOST_LINKS: Final = 40  # as the kernel has it


def resolve(path: Path) -> Path:
    """The absolute path without links. Its last component may be missing.

    Raises:
        DeniedError: It leads through a link of another user, in a folder that everybody may
            write to.
        OSError: A folder on the way is missing or cannot be entered, or the links have no end.
    """
    here = "/" if path.is_absolute() else os.getcwd()
    names = deque(os.fspath(path).split("/"))
    links = 0
    while names:
        name = names.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, name)
        try:
            status = os.lstat(there)
        except FileNotFoundError:
            if any(rest not in ("", ".") for rest in names):
                raise
            return Path(there)
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        _check(there, here, status.st_uid)
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = os.readlink(there)
        names.extendleft(reversed(target.split("/")))
        here = "/" if target.startswith("/") else here
    return Path(here)


def _check(link: str, folder: str, owner: int) -> None:
    where = os.stat(folder)
    if where.st_mode & stat.S_IWOTH and owner not in (0, os.geteuid(), where.st_uid):
        raise DeniedError(
            f"{link} is a link of another user in a folder that everybody may write to",
            next_step="Name the place that you mean without it.",
        )
