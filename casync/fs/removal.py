"""Lists and removes everything at a path below an open folder, without leaving the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import look
from casync.fs.rights import open_up

__all__ = ["below", "remove"]


def remove(root: int, path: bytes) -> None:
    """Removes `path` below an open folder with everything in it. Missing files are ignored.

    Raises:
        OSError: Something cannot be removed, for example a mount point.
    """
    todo = [path]
    while todo:
        inside = _unlink_or_list(root, todo[-1])
        if inside:
            todo += inside
        else:
            todo.pop()


def below(
    root: int, path: bytes, *, opens_up: bool = False
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yields `path` below an open folder and everything in it, in no particular order.

    Args:
        root: The open folder.
        path: A path below it.
        opens_up: Give ourselves all rights on folders of ours on the way, for good.

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
            is_folder = status is not None and stat.S_ISDIR(status.st_mode)
            if is_folder and opens_up:
                open_up(parent, name)
        finally:
            os.close(parent)
        if status is not None:
            yield here, status
            if is_folder:
                todo += _list(root, here)


def _list(root: int, path: bytes) -> list[bytes]:
    fd = open_beneath(root, path, FOLDER)
    try:
        return [path + b"/" + os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def _unlink_or_list(root: int, path: bytes) -> list[bytes]:
    """Removes a file or an empty folder; returns the paths in a folder that is not empty."""
    folder, _, name = path.rpartition(b"/")
    parent = open_beneath(root, folder, FOLDER)
    try:
        status = look(parent, name)
        if status is None:
            return []
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
            return []
        open_up(parent, name)
        inside = _list(root, path)
        if not inside:
            os.rmdir(name, dir_fd=parent)
        return inside
    finally:
        os.close(parent)
