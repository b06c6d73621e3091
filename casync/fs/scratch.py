"""Temporary folders with names, which a process that is killed leaves behind for the next one.

Files without a name need none of this: they go with their process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["scratch_folder"]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_folder(purpose: str, place: Path | None = None) -> Iterator[Path]:
    """A new folder, which is removed at the end.

    Removes those of the same purpose and user whose processes were killed: a folder is locked as
    long as its process runs.

    Args:
        purpose: A word for its name.
        place: Where it is created; by default where temporary files go.

    Raises:
        OSError: It cannot be created.
    """
    where = Path(tempfile.gettempdir()) if place is None else place
    prefix = f"casync-{purpose}-{os.geteuid()}-"
    _remove_abandoned(where, prefix)
    path, fd = _locked_folder(where, prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def _locked_folder(where: Path, prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
        with suppress(FileNotFoundError):  # another process took it for an abandoned one
            fd = os.open(path, _FLAGS)
            with suppress(OSError):  # a file system without locks: it is not removed by others
                fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists():
                return path, fd
            os.close(fd)


def _remove_abandoned(where: Path, prefix: str) -> None:
    with suppress(OSError):
        for name in os.listdir(where):
            if name.startswith(prefix):
                with suppress(OSError):
                    _remove_unlocked(where / name)


def _remove_unlocked(path: Path) -> None:
    fd = os.open(path, _FLAGS)
    try:
        status = os.fstat(fd)
        if status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)
