"""What an entry of a tree says of a file besides its bytes, given to it and compared with it.

By default that is what any user may have on his own files: rights without setuid and setgid, the
time of the last change, and `user.` attributes. `exact` is all of it, as far as we may: root may.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import Final, TypeAlias

from casync.fs.entries import attributes_of
from casync.objects.tree import Device, Entry, File, Folder, Link, Meta, Pipe

__all__ = ["MetadataPolicy", "FileHandle", "kind_of"]

FileHandle: TypeAlias = int | bytes
"""An open descriptor, or a path through one whose last link is not followed."""

_USER: Final = b"user."
_ACL: Final = b"system.posix_acl_"
_RIGHTS: Final = 0o1777
"""A mode without setuid and setgid."""


def kind_of(entry: Entry) -> int:
    """The kind of file that an entry stands for, as `stat.S_IFMT` tells it."""
    if isinstance(entry, Device):
        return stat.S_IFBLK if entry.block else stat.S_IFCHR
    kinds = {File: stat.S_IFREG, Folder: stat.S_IFDIR, Link: stat.S_IFLNK, Pipe: stat.S_IFIFO}
    return kinds[type(entry)]


class MetadataPolicy:
    """Gives things what their entries say.

    Args:
        exact: Whether owners, setuid, ACLs and all attributes count.

    Attributes:
        exact: The same.
        skipped: How much could not be given, by kind: `owners`, `attributes`, `modes`, `devices`.
    """

    def __init__(self, *, exact: bool) -> None:
        self.exact = exact
        self.skipped: Counter[str] = Counter()
        self._may_own = os.geteuid() == 0

    def makes(self, entry: Entry) -> bool:
        """Whether a thing of this kind may be made here."""
        if isinstance(entry, Device):
            return self.exact and self._may_own
        return self.exact or not isinstance(entry, Pipe)

    def differences(self, entry: Entry, status: os.stat_result, thing: FileHandle) -> list[str]:
        """What of a thing of the right kind is not as its entry says: `mode`, for instance."""
        meta = entry.meta
        found = []
        is_owned = (status.st_uid, status.st_gid) == (meta.uid, meta.gid)
        wanted = self._mode(meta, is_owned=is_owned)
        if not isinstance(entry, Link) and stat.S_IMODE(status.st_mode) != wanted:
            found.append("mode")
        if self.exact and self._may_own and not is_owned:
            found.append("owner")
        if self._wanted(entry) != self._present(thing):
            found.append("attributes")
        if status.st_mtime_ns != meta.mtime_ns:
            found.append("time")
        return found

    def apply(self, entry: Entry, thing: FileHandle) -> None:
        """Gives a thing that nobody else can reach, or that is ours, what its entry says.

        Raises:
            OSError: Its time cannot be set: it is not ours.
        """
        meta, by_descriptor = entry.meta, isinstance(thing, int)
        mode = self._mode(meta, is_owned=self.exact and self._own(meta, thing))
        self._set_attributes(entry, thing)
        if not isinstance(entry, Link):
            try:
                os.chmod(thing, mode)
            except PermissionError:  # file systems without modes
                self.skipped["modes"] += 1
        os.utime(thing, ns=(meta.mtime_ns, meta.mtime_ns), follow_symlinks=by_descriptor)

    def _mode(self, meta: Meta, *, is_owned: bool) -> int:
        """The mode to give; setuid never to a file of another owner than was meant."""
        return meta.mode if self.exact and is_owned else meta.mode & _RIGHTS

    def _own(self, meta: Meta, thing: FileHandle) -> bool:
        try:
            os.chown(thing, meta.uid, meta.gid, follow_symlinks=isinstance(thing, int))
        except OSError:
            self.skipped["owners"] += 1
            return False
        return True

    def _counts(self, name: bytes) -> bool:
        """Whether an attribute is among those that are kept equal."""
        if name.startswith(_USER):
            return True
        return self.exact and (self._may_own or name.startswith(_ACL))

    def _wanted(self, entry: Entry) -> dict[bytes, bytes]:
        return {name: value for name, value in entry.meta.attributes if self._counts(name)}

    def _present(self, thing: FileHandle) -> dict[bytes, bytes]:
        return {name: value for name, value in attributes_of(thing) if self._counts(name)}

    def _set_attributes(self, entry: Entry, thing: FileHandle) -> None:
        wanted, follow = self._wanted(entry), isinstance(thing, int)
        if self.exact:
            self.skipped["attributes"] += len(entry.meta.attributes) - len(wanted)
        present = self._present(thing)
        for name in present.keys() - wanted.keys():
            try:
                os.removexattr(thing, name, follow_symlinks=follow)
            except OSError:
                self.skipped["attributes"] += 1
        for name, value in wanted.items():
            if present.get(name) != value:
                try:
                    os.setxattr(thing, name, value, follow_symlinks=follow)
                except OSError:
                    self.skipped["attributes"] += 1
