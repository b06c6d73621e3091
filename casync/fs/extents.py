"""Reads, writes and zeroes ranges of an open file or block device.

Offsets are explicit, so threads may share a descriptor. `OSError` is passed on untranslated.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from casync.ids import Buffer

__all__ = [
    "can_clone",
    "clone_range",
    "data_ranges",
    "punch",
    "read_range",
    "write_range",
    "zero_range",
]

_MAX_BUFFERS: Final = 1024  # IOV_MAX of Linux
_STEP: Final = 1 << 20
"""Bytes that are compared with zeros at once."""

_ALIGNMENT: Final = 4096
"""Bytes. Devices punch only whole logical blocks, and none is larger."""

_ZEROS: Final = bytes(_STEP)
_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_CLONE_RANGE: Final = 0x4020940D  # FICLONERANGE
_CLONED: Final = struct.Struct("=qQQQ")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def read_range(fd: int, offset: int, length: int) -> bytes:
    """`length` bytes at `offset`; fewer at the end of the file."""
    data = os.pread(fd, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    have = len(data)
    while have < length:
        data = os.pread(fd, length - have, offset + have)
        if not data:
            break
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def write_range(fd: int, offset: int, buffers: Sequence[Buffer]) -> None:
    """Writes consecutive buffers from `offset` on, all of them."""
    rest = [buffer for buffer in buffers if len(buffer)]
    while rest:
        written = os.pwritev(fd, rest[:_MAX_BUFFERS], offset)
        offset += written
        done = 0
        while done < len(rest) and written >= len(rest[done]):
            written -= len(rest[done])
            done += 1
        del rest[:done]
        if written:
            rest[0] = memoryview(rest[0])[written:]


def clone_range(source_fd: int, source: int, fd: int, offset: int, length: int) -> bool:
    """Makes a range of a file share whole blocks with another file.

    Args:
        source_fd: The other file.
        source: Where the blocks begin there.
        fd: The file.
        offset: Where they shall begin.
        length: Their bytes.

    Returns:
        False if the file system cannot do it: most cannot, and none across file systems.

    Raises:
        OSError: The disk is full.
    """
    try:
        fcntl.ioctl(fd, _CLONE_RANGE, _CLONED.pack(source_fd, source, length, offset))
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def can_clone(folder: Path) -> bool:
    """Whether files in a folder can share blocks. Tries it with two files without names."""
    with ExitStack() as stack, suppress(OSError):
        fds = [os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC) for _ in range(2)]
        for fd in fds:
            stack.callback(os.close, fd)
        block = os.fstatvfs(fds[0]).f_bsize
        os.pwrite(fds[0], bytes(block), 0)
        return clone_range(fds[0], 0, fds[1], 0, block)
    return False


def data_ranges(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that are not holes, as (start, end)."""
    position = start
    while position < end:
        try:
            begin = os.lseek(fd, position, os.SEEK_DATA)
            finish = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole up to the end
                return
            begin, finish = position, end  # not supported, for example by a device
        if begin >= end:
            return
        yield begin, min(finish, end)
        position = finish


def punch(fd: int, offset: int, length: int) -> bool:
    """Turns a range of a file or device into a hole. False if that is not supported."""
    while _libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        code = ctypes.get_errno()
        if code in _UNSUPPORTED:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


def zero_range(fd: int, offset: int, length: int) -> None:
    """Makes a range read as zeros, as a hole where possible. Leaves existing zeros alone."""
    end = offset + length
    for begin, finish in data_ranges(fd, offset, end):
        for at in range(begin, finish, _STEP):
            size = min(_STEP, finish - at)
            data = read_range(fd, at, size)
            if data != _ZEROS[: len(data)]:
                _clear(fd, at, size)


def _clear(fd: int, offset: int, length: int) -> None:
    start = -(-offset // _ALIGNMENT) * _ALIGNMENT
    end = (offset + length) // _ALIGNMENT * _ALIGNMENT
    if start < end and punch(fd, start, end - start):
        write_range(fd, offset, [_ZEROS[: start - offset]])
        write_range(fd, end, [_ZEROS[: offset + length - end]])
    else:
        write_range(fd, offset, [_ZEROS[:length]])
