"""Classifies file systems: whether LMDB's locks and shared maps work on a folder's."""

from __future__ import annotations

import ctypes
import os
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["FileSystem", "Coherence", "classify", "file_system"]


class Coherence(Enum):
    """How reliable shared maps and POSIX locks are."""

    LOCAL = "local"
    LAYERED = "layered"  # reliable until the lower layer is written directly
    NETWORK = "network"  # maps and locks are not coherent between machines


class FileSystem(NamedTuple):
    """The file system of a path; `name` is for messages."""

    name: str
    coherence: Coherence


_LAYERED: Final = {0x794C7630: "overlay"}
_NETWORK: Final = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x564C: "NCP",
    0x786F4256: "vboxsf",
}
_STATFS_BYTES: Final = 256  # more than any architecture's struct statfs
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def file_system(path: Path | int) -> FileSystem:
    """The file system of an existing path or an open file. Python's statvfs lacks its type.

    Raises:
        OSError: The path cannot be read.
    """
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if isinstance(path, int):
        failed = _LIBC.fstatfs(path, buffer)
    else:
        failed = _LIBC.statfs(os.fsencode(path), buffer)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    # The first member is a long on every 64-bit Linux; the magic is its low half.
    return classify(ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF)


def classify(magic: int) -> FileSystem:
    """The file system for an `f_type` of statfs(2)."""
    if magic in _NETWORK:
        return FileSystem(_NETWORK[magic], Coherence.NETWORK)
    if magic in _LAYERED:
        return FileSystem(_LAYERED[magic], Coherence.LAYERED)
    return FileSystem(f"0x{magic:x}", Coherence.LOCAL)
