"""What a file system says of one thing in a folder, as an entry of a tree."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from casync.objects.tree import Device, Entry, Link, Meta, Pipe

__all__ = ["attributes_of", "entry_of", "meta_of", "with_owners"]

_MODES: Final = 0o7777


def meta_of(status: os.stat_result, attributes: tuple[tuple[bytes, bytes], ...]) -> Meta:
    """What `status` says besides kind and size."""
    user, group = _owners(status)
    return Meta(
        status.st_mode & _MODES,
        status.st_mtime_ns,
        status.st_uid,
        status.st_gid,
        user,
        group,
        attributes,
    )


def with_owners(entry: Entry, status: os.stat_result) -> Entry:
    """An entry of the last time with the names that owner and group have now."""
    meta = entry.meta
    if (meta.user, meta.group) == _owners(status):
        return entry
    user, group = _owners(status)
    return replace(entry, meta=replace(meta, user=user, group=group))


def entry_of(name: bytes, status: os.stat_result, folder: int) -> Entry | None:
    """The entry of something without content; None of what has no entry, a socket.

    Args:
        name: Its name.
        status: What was seen of it.
        folder: An open descriptor of where it lies.

    Raises:
        OSError: It cannot be looked at.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFSOCK:
        return None
    # A link's attributes can be had by path only; this one leads through the open folder.
    meta = meta_of(status, attributes_of(b"/proc/self/fd/%d/%s" % (folder, name)))
    if kind == stat.S_IFLNK:
        return Link(name, meta, None, os.readlink(name, dir_fd=folder))
    if kind == stat.S_IFIFO:
        return Pipe(name, meta, None)
    device = status.st_rdev
    block = kind == stat.S_IFBLK
    return Device(name, meta, None, block, os.major(device), os.minor(device))


def attributes_of(place: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """All extended attributes that we may read, sorted by name.

    Args:
        place: An open descriptor, or a path whose last link is not followed.
    """
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
    except OSError:  # a file system without them
        return ()
    found = []
    for name in names:
        try:
            value = os.getxattr(place, name, follow_symlinks=follow)
        except OSError:  # gone, or not ours to see
            continue
        found.append((os.fsencode(name), value))
    return tuple(sorted(found))


def _owners(status: os.stat_result) -> tuple[str, str]:
    """The names of owner and group; empty where this machine has none."""
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
