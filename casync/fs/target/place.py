"""Inspects a target's place before a byte is fetched, without changing anything.

Whatever would make a pull fail at its end, and is known at its start, is refused here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from pathlib import Path
from typing import Final, NamedTuple

from casync.errors import CasyncError, DeniedError, WriteError
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.links import resolve
from casync.fs.os_errors import free_bytes, no_folder, no_space, write_error

__all__ = ["TargetPlace", "allocated_bytes", "check_space", "inspect_place"]

_GET_FLAGS: Final = 0x80086601  # FS_IOC_GETFLAGS
_UNCHANGING: Final = 0x10 | 0x20  # FS_IMMUTABLE_FL, FS_APPEND_FL
_NOWHERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_ROOM: Final = 64 * 1024
"""Bytes that metadata may need besides the content."""


class TargetPlace(NamedTuple):
    """Where a target goes.

    Attributes:
        path: Absolute, with every link resolved, the last component's included.
        existing: Identity of the file or device there now, if any.
        length: Its bytes; the size of a device.
        is_device: It is a block device.
        in_place: Overwrite it where it differs, rather than replace it.
    """

    path: Path
    existing: FileIdentity | None
    length: int
    is_device: bool
    in_place: bool


def inspect_place(path: Path, *, in_place: bool) -> TargetPlace:
    """Finds where a target goes, and refuses what cannot work.

    Args:
        path: The path that the user gave.
        in_place: Whether to overwrite an existing file. Devices always are.

    Raises:
        WriteError: The path is a folder, a dangling link, a pipe, a socket or a character
            device; or its folder is missing; or it may not be written.
        DeniedError: The path leads through a link of another user, or the file belongs to
            another user, in a folder that everybody may write to.
    """
    try:
        return _inspect(path, in_place=in_place)
    except OSError as error:
        raise write_error(error, path) from error
    except ValueError as error:
        raise WriteError(f"cannot write {path}: {error}") from error


def check_space(place: TargetPlace, need: int) -> None:
    """Refuses a target that does not fit.

    Args:
        place: The target.
        need: Bytes that will be allocated. A device allocates nothing.

    Raises:
        NoSpaceError: There is less space than that.
    """
    have = None if place.is_device or need <= 0 else free_bytes(place.path)
    if have is not None and have < need + _ROOM:
        raise no_space(place.path, need, have)


def allocated_bytes(path: Path) -> int:
    """Bytes that the file at `path` occupies; 0 if it is missing."""
    try:
        return os.lstat(path).st_blocks * 512
    except OSError:
        return 0


def _inspect(path: Path, *, in_place: bool) -> TargetPlace:
    final = _resolve(path)
    try:
        status = os.lstat(final)
    except FileNotFoundError:
        _check_folder(final.parent)
        return TargetPlace(final, None, 0, is_device=False, in_place=False)
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise WriteError(f"{path} is a folder", next_step="Name a file in it.")
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise WriteError(
            f"{path} is neither a file nor a block device", next_step="`-o -` writes to stdout."
        )
    existing = identity_of(status)
    if stat.S_ISBLK(mode):
        _check_access(final)
        return TargetPlace(final, existing, _device_length(final), is_device=True, in_place=True)
    _check_owner(final, status)
    if in_place:
        _check_access(final)
    else:
        _check_folder(final.parent)
        _check_replaceable(final, status)
    return TargetPlace(final, existing, status.st_size, is_device=False, in_place=in_place)


def _resolve(path: Path) -> Path:
    """The absolute path without links. Only its last component may be missing."""
    is_link = path.is_symlink()
    try:
        final = resolve(path)
    except OSError as error:
        if is_link and error.errno in _NOWHERE:
            raise _dangling(path) from error
        if error.errno == errno.ENOENT:
            raise no_folder(path.parent) from error
        raise
    if is_link and not os.path.lexists(final):
        raise _dangling(path)
    return final


def _dangling(path: Path) -> WriteError:
    return WriteError(f"{path} is a dangling link to {os.readlink(path)}")


def _check_folder(folder: Path) -> None:
    """Checks that a part file can be created in the folder and renamed."""
    if not folder.is_dir():
        raise WriteError(f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise _not_writable(f"cannot write into the folder {folder}", folder)


def _check_access(path: Path) -> None:
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise _not_writable(f"cannot write {path} in place", path)


def _not_writable(said: str, path: Path) -> CasyncError:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return WriteError(f"{said}: read-only file system")
    return DeniedError(f"{said}: permission denied")


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuses a file that another user has put where everybody may write, also as root.

    The new content would belong to that user. A further name may lead to any file.
    """
    folder = os.stat(path.parent)
    if not folder.st_mode & (stat.S_IWOTH | stat.S_ISVTX):
        return
    if status.st_uid not in {os.geteuid(), folder.st_uid}:
        raise DeniedError(
            f"{path} belongs to another user, in a folder that others may write to",
            next_step="Choose another name, or remove that file.",
        )
    if status.st_nlink > 1 and folder.st_uid != os.geteuid():
        raise DeniedError(
            f"{path} has several hard links, in a folder that others may write to",
            next_step="Choose another name, or remove that file.",
        )


def _check_replaceable(path: Path, status: os.stat_result) -> None:
    """Refuses early what rename(2) would refuse at the end."""
    folder = os.stat(path.parent)
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in {0, status.st_uid, folder.st_uid}:
        raise WriteError(f"{path} belongs to another user, and its folder is sticky")
    if _is_unchanging(path):
        raise WriteError(f"{path} is immutable or append-only", next_step="See chattr(1).")
    if _is_mount_point(path):
        raise WriteError(
            f"{path} is a mount point and cannot be replaced", next_step="Add --in-place."
        )


def _is_unchanging(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        (flags,) = struct.unpack_from("I", fcntl.ioctl(fd, _GET_FLAGS, bytes(8)))
    except OSError:  # the file system has no such flags
        return False
    finally:
        os.close(fd)
    return bool(flags & _UNCHANGING)


def _is_mount_point(path: Path) -> bool:
    """Whether a single file is mounted there, as containers do."""
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    wanted = os.fsencode(path)
    return any(_unescape(line.split(b" ")[4]) == wanted for line in table.splitlines())


def _unescape(field: bytes) -> bytes:
    """Decodes a field of the mount table: blanks and backslashes are three octal digits."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def _device_length(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
