"""Turns what a file system says of a file into an entry of a tree."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from casync.objects.tree import Device, Entry, Link, Meta, Pipe, bounded_time

__all__ = ["attributes_of", "entry_of", "meta_of", "with_owners"]

_MODES: Final = 0o7777


def meta_of(status: os.stat_result, attributes: tuple[tuple[bytes, bytes], ...]) -> Meta:
    """The metadata in `status`, with extended attributes. A time too far away is bounded."""
    user, group = _owners(status)
    return Meta(
        status.st_mode & _MODES,
        bounded_time(status.st_mtime_ns),
        status.st_uid,
        status.st_gid,
        user,
        group,
        attributes,
    )


def with_owners(entry: Entry, status: os.stat_result) -> Entry:
    """A cached entry with the current names of its owner and group."""
    meta = entry.meta
    if (meta.user, meta.group) == _owners(status):
        return entry
    user, group = _owners(status)
    return replace(entry, meta=replace(meta, user=user, group=group))


def entry_of(name: bytes, status: os.stat_result, folder: int) -> Entry | None:
    """The entry of anything but a regular file or a folder; None for a socket.

    Args:
        name: Its name.
        status: Its status.
        folder: An open descriptor of its folder.

    Raises:
        OSError: It cannot be read.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFSOCK:
        return None
    # A link's attributes can be read by path only; this path leads through the open folder.
    meta = meta_of(status, attributes_of(b"/proc/self/fd/%d/%s" % (folder, name)))
    if kind == stat.S_IFLNK:
        return Link(name, meta, None, os.readlink(name, dir_fd=folder))
    if kind == stat.S_IFIFO:
        return Pipe(name, meta, None)
    device = status.st_rdev
    block = kind == stat.S_IFBLK
    return Device(name, meta, None, block, os.major(device), os.minor(device))


def attributes_of(place: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """All readable extended attributes, sorted by name.

    Args:
        place: An open descriptor, or a path whose last component is not followed if it is a link.
    """
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
    except OSError:  # the file system has no attributes
        return ()
    found = []
    for name in names:
        try:
            value = os.getxattr(place, name, follow_symlinks=follow)
        except OSError:  # removed meanwhile, or not readable
            continue
        found.append((os.fsencode(name), value))
    return tuple(sorted(found))


def _owners(status: os.stat_result) -> tuple[str, str]:
    """The names of owner and group; empty where this machine has no name for the number."""
    return _user(status.st_uid), _group(status.st_gid)


@lru_cache(maxsize=4096)
def _user(uid: int) -> str:
    try:
        return _text(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return ""


@lru_cache(maxsize=4096)
def _group(gid: int) -> str:
    try:
        return _text(grp.getgrgid(gid).gr_name)
    except KeyError:
        return ""


def _text(name: str) -> str:
    return name if name.isprintable() and len(name) <= 255 else ""
