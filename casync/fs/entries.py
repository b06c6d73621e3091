"""Turns what a file system says of a file into an entry of a tree."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Final, NamedTuple

from msgspec.structs import replace

from casync.objects.tree import Device, Entry, Link, Meta, Pipe, bounded_time

__all__ = ["Inside", "attribute_handle", "attributes_of", "entry_of", "meta_of", "with_owners"]

_MODES: Final = 0o7777


class Inside(NamedTuple):
    """An entry of an open folder."""

    folder: int
    name: bytes


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
    meta = meta_of(status, attributes_of(Inside(folder, name)))
    if kind == stat.S_IFLNK:
        return Link(name, meta, None, os.readlink(name, dir_fd=folder))
    if kind == stat.S_IFIFO:
        return Pipe(name, meta, None)
    device = status.st_rdev
    block = kind == stat.S_IFBLK
    return Device(name, meta, None, block, os.major(device), os.minor(device))


def attributes_of(place: int | Inside) -> tuple[tuple[bytes, bytes], ...]:
    """All readable extended attributes, sorted by name.

    Args:
        place: An open descriptor, or an entry, which is not followed if it is a link.
    """
    with attribute_handle(place) as handle:
        if handle is None:
            return ()
        follow = isinstance(handle, int)
        try:
            names = os.listxattr(handle, follow_symlinks=follow)
        except OSError:  # the file system has no attributes
            return ()
        found = []
        for name in names:
            try:
                value = os.getxattr(handle, name, follow_symlinks=follow)
            except OSError:  # removed meanwhile, or not readable
                continue
            found.append((os.fsencode(name), value))
        return tuple(sorted(found))


@contextmanager
def attribute_handle(place: int | Inside) -> Iterator[int | bytes | None]:
    """What the calls for extended attributes take for a file; None if there is nothing.

    The attributes of an entry can be reached by a path only. It leads through the open folder in
    /proc; without /proc, files that may be read are opened.
    """
    if isinstance(place, int):
        yield place
    elif _has_proc():
        yield b"/proc/self/fd/%d/%s" % place
    else:
        fd = _opened(place)
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)


def _opened(place: Inside) -> int | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        mode = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return None
        return os.open(place.name, flags, dir_fd=place.folder)
    except OSError:
        return None


@cache
def _has_proc() -> bool:
    return os.path.exists("/proc/self/fd")


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
