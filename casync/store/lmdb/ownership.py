"""Whose a store is: only its owner may change it, and no link in it is followed.

A store lies in one folder. If another user can change that folder, the files in it may be replaced
at any time by links to files that we must not write to. So a writer needs a folder that only it
and root can change; a folder of another user is only read, and nothing is created in it.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Final

from casync.errors import DeniedError
from casync.store.lmdb.lock_files import LMDB_LOCK_FILE, LOCK_FILE

__all__ = ["DATA_FILE", "KEY_FILE", "check_owner", "check_private"]

DATA_FILE: Final = "data.mdb"

KEY_FILE: Final = "jobs.key"
"""The key that seals the secrets of jobs."""

_FILES: Final = (DATA_FILE, LOCK_FILE, LMDB_LOCK_FILE, KEY_FILE)


def check_owner(path: Path, *, writable: bool) -> tuple[bool, list[str]]:
    """Checks who owns the existing folder `path`, and the files of the store in it.

    Args:
        path: The store's folder.
        writable: Whether it is opened for writing.

    Returns:
        Whether files may be created in it, and warnings for the user.

    Raises:
        DeniedError: Another user can change it and it is opened for writing; or one of its files
            is a link, has several names or belongs to a third user.
        OSError: It cannot be read.
    """
    folder, me = path.stat(), os.geteuid()
    is_ours = folder.st_uid in (me, 0)
    if writable and not is_ours:
        raise DeniedError(
            f"store {path} belongs to {_user(folder.st_uid)}",
            next_step="Run the command as that user.",
        )
    warnings: list[str] = []
    if folder.st_mode & stat.S_IWOTH:
        if writable:
            raise DeniedError(
                f"any user may change the files of the store {path}",
                next_step=f"Run `chmod o-w {path}`, or choose another folder with --store.",
            )
        is_ours = False
        warnings.append(
            f"any user may change the files of the store {path}; `chmod o-w {path}` keeps them out"
        )
    for name in _FILES:
        status = _look(path / name)
        if status is None:
            continue
        _check_file(path / name, status, {me, 0, folder.st_uid})
        if name == DATA_FILE and is_ours and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            warnings.append(
                f"other users may read or change {path / name}; `chmod 600` on it keeps them out"
            )
    return is_ours, warnings


def check_private(path: Path, status: os.stat_result) -> None:
    """Checks that only this user and root can read or change a file of a store.

    Raises:
        DeniedError: It is a link, has several names, belongs to another user or is open to one.
    """
    _check_file(path, status, {os.geteuid(), 0})
    if stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise DeniedError(
            f"other users may read or change {path}", next_step=f"Run `chmod 600 {path}`."
        )


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _check_file(path: Path, status: os.stat_result, owners: set[int]) -> None:
    step = "Move it away if it is not yours, or restore the store from a backup."
    if not stat.S_ISREG(status.st_mode):
        raise DeniedError(f"{path} is a link or another special file", next_step=step)
    if status.st_nlink > 1:
        raise DeniedError(f"{path} has several hard links", next_step=step)
    if status.st_uid not in owners:
        raise DeniedError(f"{path} belongs to {_user(status.st_uid)}", next_step=step)


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
