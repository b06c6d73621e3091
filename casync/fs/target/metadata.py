"""Applies an entry's metadata to a file, and compares the two.

By default this is what any user may set on own files: permissions without setuid and setgid, the
modification time, and `user.` attributes. `exact` is all metadata, as far as permitted: to root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, TypedDict

from casync.fs.entries import Inside, attribute_handle, attributes_of
from casync.objects.tree import Device, Entry, File, Folder, Link, Meta, Pipe, bounded_time

__all__ = ["MetadataPolicy", "FileHandle", "kind_of"]

FileHandle: TypeAlias = int | Inside
"""An open descriptor, or an entry of an open folder, which is not followed as a link."""

_USER: Final = b"user."
_ACL: Final = b"system.posix_acl_"
_REFUSED: Final = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of a file system without modes, or whose files all belong to one user."""

_RIGHTS: Final = 0o1777
"""A mode without setuid and setgid."""


def kind_of(entry: Entry) -> int:
    """The file type of an entry, as in `stat.S_IFMT`."""
    if isinstance(entry, Device):
        return stat.S_IFBLK if entry.block else stat.S_IFCHR
    kinds = {File: stat.S_IFREG, Folder: stat.S_IFDIR, Link: stat.S_IFLNK, Pipe: stat.S_IFIFO}
    return kinds[type(entry)]


class MetadataPolicy:
    """Decides which metadata counts, applies it and compares it.

    Args:
        exact: Whether owners, setuid, ACLs and all attributes count.

    Attributes:
        exact: Whether owners, setuid, ACLs and all attributes count.
        may_own: Whether this process may give files away.
        skipped: How often metadata could not be applied, by kind: `owners`, `attributes`,
            `modes`, `times`, `devices`.
    """

    def __init__(self, *, exact: bool) -> None:
        self.exact = exact
        self.skipped: Counter[str] = Counter()
        self.may_own = os.geteuid() == 0

    def makes(self, entry: Entry) -> bool:
        """Whether this process may make a file of the entry's kind."""
        if isinstance(entry, Device):
            return self.exact and self.may_own
        return self.exact or not isinstance(entry, Pipe)

    def differences(self, entry: Entry, status: os.stat_result, thing: FileHandle) -> list[str]:
        """Which metadata of a file of the right kind differs from its entry: `mode`, say."""
        return self.differences_with(entry, status, attributes_of(thing))

    def differences_with(
        self, entry: Entry, status: os.stat_result, attributes: tuple[tuple[bytes, bytes], ...]
    ) -> list[str]:
        """As `differences`, for a file with all these extended attributes."""
        meta = entry.meta
        found = []
        is_owned = (status.st_uid, status.st_gid) == (meta.uid, meta.gid)
        wanted = self._mode(meta, is_owned=is_owned)
        if not isinstance(entry, Link) and stat.S_IMODE(status.st_mode) != wanted:
            found.append("mode")
        if self.exact and self.may_own and not is_owned:
            found.append("owner")
        if self._wanted(entry) != self._kept_equal(attributes):
            found.append("attributes")
        if bounded_time(status.st_mtime_ns) != meta.mtime_ns:
            found.append("time")
        return found

    def apply(self, entry: Entry, thing: FileHandle) -> None:
        """Applies an entry's metadata to a file that no other user can reach, or that is ours.

        Raises:
            OSError: It cannot be written, for a reason other than a missing right.
        """
        meta = entry.meta
        place, options = _arguments(thing)
        mode = self._mode(meta, is_owned=self.exact and self._own(meta, thing))
        self._set_attributes(entry, thing)
        if not isinstance(entry, Link):
            with self._counting("modes"):
                os.chmod(place, mode, dir_fd=options.get("dir_fd"))
        with self._counting("times"):
            os.utime(place, ns=(meta.mtime_ns, meta.mtime_ns), **options)

    @contextmanager
    def _counting(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self.skipped[what] += 1

    def _mode(self, meta: Meta, *, is_owned: bool) -> int:
        """The mode to set. A file with a wrong owner never gets setuid or setgid."""
        return meta.mode if self.exact and is_owned else meta.mode & _RIGHTS

    def _own(self, meta: Meta, thing: FileHandle) -> bool:
        try:
            place, options = _arguments(thing)
            os.chown(place, meta.uid, meta.gid, **options)
        except OSError:
            self.skipped["owners"] += 1
            return False
        return True

    def _counts(self, name: bytes) -> bool:
        """Whether an attribute is kept equal."""
        if name.startswith(_USER):
            return True
        return self.exact and (self.may_own or name.startswith(_ACL))

    def _wanted(self, entry: Entry) -> dict[bytes, bytes]:
        return self._kept_equal(entry.meta.attributes)

    def _kept_equal(self, attributes: tuple[tuple[bytes, bytes], ...]) -> dict[bytes, bytes]:
        return {name: value for name, value in attributes if self._counts(name)}

    def _set_attributes(self, entry: Entry, thing: FileHandle) -> None:
        wanted, present = self._wanted(entry), self._kept_equal(attributes_of(thing))
        if self.exact:
            self.skipped["attributes"] += len(entry.meta.attributes) - len(wanted)
        if wanted == present:
            return
        with attribute_handle(thing) as handle:
            if handle is None:
                self.skipped["attributes"] += len(wanted)
                return
            follow = isinstance(handle, int)
            for name in present.keys() - wanted.keys():
                try:
                    os.removexattr(handle, name, follow_symlinks=follow)
                except OSError:
                    self.skipped["attributes"] += 1
            for name, value in wanted.items():
                if present.get(name) != value:
                    try:
                        os.setxattr(handle, name, value, follow_symlinks=follow)
                    except OSError:
                        self.skipped["attributes"] += 1


class _Options(TypedDict, total=False):
    dir_fd: int
    follow_symlinks: bool


def _arguments(thing: FileHandle) -> tuple[int | bytes, _Options]:
    """How calls of `os` name a file."""
    if isinstance(thing, int):
        return thing, {}
    return thing.name, {"dir_fd": thing.folder, "follow_symlinks": False}
