"""Finding and removing what lies in an open folder, whatever it is, without leaving it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import look

__all__ = ["below", "remove"]


def remove(root: int, path: bytes) -> None:
    """Removes what is at `path` below an open folder, with everything in it. It may be gone.

    Raises:
        OSError: Something cannot be removed, a mount point for instance.
    """
    todo = [path]
    while todo:
        inside = _unlink_or_list(root, todo[-1])
        if inside:
            todo += inside
        else:
            todo.pop()


def below(root: int, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """What is at `path` below an open folder, and everything in it, in no order.

    Raises:
        OSError: A folder cannot be listed.
    """
    todo = [path]
    while todo:
        here = todo.pop()
        folder, _, name = here.rpartition(b"/")
        parent = open_beneath(root, folder, FOLDER)
        try:
            status = look(parent, name)
        finally:
            os.close(parent)
        if status is not None:
            yield here, status
            if stat.S_ISDIR(status.st_mode):
                todo += _list(root, here)


def _list(root: int, path: bytes) -> list[bytes]:
    fd = open_beneath(root, path, FOLDER)
    try:
        return [path + b"/" + os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def _unlink_or_list(root: int, path: bytes) -> list[bytes]:
    """Removes one thing; of a folder that is not empty, tells what is in it."""
    folder, _, name = path.rpartition(b"/")
    parent = open_beneath(root, folder, FOLDER)
    try:
        status = look(parent, name)
        if status is None:
            return []
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
            return []
        inside = _list(root, path)
        if not inside:
            os.rmdir(name, dir_fd=parent)
        return inside
    finally:
        os.close(parent)
