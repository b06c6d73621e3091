"""Opens paths below an open folder, and nothing outside it.

No link is followed and no path leads out, even while other processes change the folders. The kernel
guarantees that through openat2(2); where it is missing, each component is opened by itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

__all__ = ["FOLDER", "open_beneath", "open_child"]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
"""Flags to open a folder for listing, or for reaching its entries."""

_ALWAYS: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_HARMLESS: Final = os.O_NONBLOCK | os.O_NOCTTY
"""Prevents side effects of opening pipes and terminals; not allowed with O_PATH."""

_STEP: Final = os.O_PATH | os.O_DIRECTORY | _ALWAYS

_PIECE_BYTES: Final = 4000
"""Bytes of a path in one call: PATH_MAX, less some slack."""

_OPENAT2: Final = 437  # on every architecture
_BENEATH: Final = 0x08
_NO_SYMLINKS: Final = 0x04
_ABSENT: Final = frozenset({errno.ENOSYS, errno.EPERM})
"""Errors that mean that openat2 is missing: an old kernel, or a filter of system calls."""

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_child(folder: int, name: bytes, flags: int) -> int:
    """Opens an entry of an open folder. A link is opened as itself with O_PATH, else refused.

    Raises:
        OSError: It cannot be opened. ELOOP: it is a link.
    """
    return os.open(name, flags | _ALWAYS | _HARMLESS, dir_fd=folder)


def open_beneath(root: int, path: bytes, flags: int) -> int:
    """Opens `path` below the open folder `root`.

    Args:
        root: The folder.
        path: Names joined by `/`, none of them `..`; empty for the folder itself.
        flags: Flags of open(2) for the last name.

    Raises:
        OSError: It cannot be opened, or a component is a link.
    """
    pieces = _pieces(path)
    flags |= _ALWAYS if flags & os.O_PATH else _ALWAYS | _HARMLESS
    fd = -1
    try:
        for number, piece in enumerate(pieces, 1):
            there = root if fd < 0 else fd
            found = _open(there, piece, flags if number == len(pieces) else _STEP)
            if fd >= 0:
                os.close(fd)
            fd = found
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    return fd


def _pieces(path: bytes) -> list[bytes]:
    """Splits a path into parts that the kernel accepts, each of whole names."""
    if len(path) <= _PIECE_BYTES:
        return [path or b"."]
    pieces: list[bytes] = []
    start = 0
    while len(path) - start > _PIECE_BYTES:
        end = path.rindex(b"/", start, start + _PIECE_BYTES)
        pieces.append(path[start:end])
        start = end + 1
    return [*pieces, path[start:]]


def _open(folder: int, path: bytes, flags: int) -> int:
    how = _How(flags, 0, _BENEATH | _NO_SYMLINKS)
    while True:
        fd = _libc.syscall(_OPENAT2, folder, path, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code in _ABSENT:
            return _open_by_names(folder, path.split(b"/"), flags)
        if code not in (errno.EINTR, errno.EAGAIN):
            raise OSError(code, os.strerror(code), os.fsdecode(path))


def _open_by_names(folder: int, names: list[bytes], flags: int) -> int:
    fd = -1
    try:
        for name in names[:-1]:
            below = os.open(name, _STEP, dir_fd=folder if fd < 0 else fd)
            if fd >= 0:
                os.close(fd)
            fd = below
        return os.open(names[-1], flags, dir_fd=folder if fd < 0 else fd)
    finally:
        if fd >= 0:
            os.close(fd)
