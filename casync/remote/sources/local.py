"""Files of this machine as objects: those of one folder, whose paths below it are their keys.

Only regular files are objects. No link is followed below the folder, so nothing outside is read.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from io import FileIO
from typing import Final

from casync.errors import NotFoundError, SourceChangedError, UsageError
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import look
from casync.fs.extents import read_range
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.scan_cache import SETTLED_NS
from casync.fs.source.base import reading
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.remote.sources.base import (
    ADDRESS_STEP,
    Listed,
    ListedFolder,
    ObjectAnswer,
    decode_key,
    encode_key,
    failed,
    range_to_read,
)
from casync.remote.sources.options import SourceOptions

__all__ = ["LocalOpener", "LocalSource"]

_BLOCK_BYTES: Final = MIB
_NOT_AN_OBJECT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EXDEV}
)
"""Why a path below the folder leads to no file of it."""


class LocalOpener:
    """Opens paths and `file://` addresses.

    All sources share one open folder, so that a job may have any number of them.

    Attributes:
        top: The open folder `/`; negative when it is closed.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, address: str) -> tuple[LocalSource, str]:
        """The folder and the key of a path. See `casync.remote.sources.open`.

        What follows `file://` is a path as it is, without percent-encoding.
        """
        path = address.removeprefix("file://")
        if address.startswith("file://") and not path.startswith("/"):
            raise UsageError(
                f"{address} is not an address of a file", next_step="Write file:///PATH."
            )
        ends = path.endswith("/")
        path = os.path.realpath(path)
        if ends or path == "/":
            return LocalSource(path, self), ""
        folder, _, name = path.rpartition("/")
        return LocalSource(folder, self), name

    def close(self) -> None:
        """Closes the folder that all share."""
        if self.top >= 0:
            os.close(self.top)
            self.top = -1


class LocalSource:
    """A folder. See `RemoteSource`.

    Args:
        folder: Its path, absolute and without links.
        opener: Has the open folder `/`.

    Raises:
        NotFoundError, DeniedError: The folder cannot be opened.
    """

    def __init__(self, folder: str, opener: LocalOpener) -> None:
        self.label = self.place = f"file://{folder.rstrip('/')}"
        self._opener = opener
        self._folder = os.fsencode(folder.strip("/"))
        try:
            with reading(folder):
                os.close(self._open_below(b"", os.O_PATH | os.O_DIRECTORY))
        except NotFoundError as error:
            missing = NotFoundError(f"there is no folder {folder}", next_step=ADDRESS_STEP)
            raise missing from error

    def close(self) -> None:
        """Does nothing: nothing stays open between two calls."""

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        try:
            file = self._open(key, os.O_PATH)
        except NotFoundError:
            return None
        try:
            return self._described(key, os.fstat(file))
        finally:
            os.close(file)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        waiting = [prefix]
        while waiting:
            level = self.list_folder(waiting.pop())
            yield from level.objects
            waiting += level.prefixes

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        label = f"{self.label}/{prefix}"
        objects: list[Listed] = []
        prefixes: list[str] = []
        with reading(label):
            folder = self._open_below(_path_of(prefix.rstrip("/"), label), FOLDER)
            try:
                names = sorted(map(os.fsencode, os.listdir(folder)))
                for name in names:
                    status = look(folder, name)
                    if status is None:  # it was removed meanwhile
                        continue
                    key = prefix + decode_key(name)
                    if stat.S_ISDIR(status.st_mode):
                        prefixes.append(f"{key}/")
                    elif (listed := self._described(key, status)) is not None:
                        objects.append(listed)
            finally:
                os.close(folder)
        return ListedFolder(objects, prefixes)

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """See `RemoteSource`."""
        opened = self._open(key, os.O_RDONLY)
        status = os.fstat(opened)
        listed = self._described(key, status)
        if listed is None:
            os.close(opened)
            raise self._missing(key)
        asked = range_to_read(listed, start, end, same, unless)
        if asked is None:
            os.close(opened)
            return None
        file = os.fdopen(opened, "rb", buffering=0)
        blocks = _read(file, asked.start, asked.end, identity_of(status), f"{self.label}/{key}")
        return ObjectAnswer(listed, asked.start, blocks, file.close, is_ranged=asked.is_ranged)

    def _open(self, key: str, flags: int) -> int:
        label = f"{self.label}/{key}"
        try:
            with reading(label):
                try:
                    return self._open_below(_path_of(key, label), flags)
                except OSError as error:
                    if error.errno in _NOT_AN_OBJECT:
                        raise self._missing(key) from error
                    raise
        except NotFoundError as error:
            raise self._missing(key) from error

    def _open_below(self, path: bytes, flags: int) -> int:
        """Opens a path below the folder; OSError if it cannot be opened, or leads over a link."""
        names = [part for part in (self._folder, path) if part]
        return open_beneath(self._opener.top, b"/".join(names), flags)

    def _missing(self, key: str) -> NotFoundError:
        error = NotFoundError(f"there is no file {self.label.removeprefix('file://')}/{key}")
        return failed(error, ObjectFaultKind.HTTP, 404)

    def _described(self, key: str, status: os.stat_result) -> Listed | None:
        """The object that a file is, or None if it is not a regular file."""
        if not stat.S_ISREG(status.st_mode):
            return None
        found = identity_of(status)
        settled = max(found.mtime_ns, found.ctime_ns) <= time.time_ns() - SETTLED_NS
        version = f"{found.device}-{found.inode}-{found.mtime_ns}-{found.ctime_ns}"
        return Listed(
            key,
            status.st_size,
            Validators(last_modified=found.mtime_ns, version=version if settled else ""),
        )


def _path_of(key: str, label: str) -> bytes:
    """The path of a key below the folder.

    Raises:
        UsageError: It is none.
    """
    path = encode_key(key)
    if path and any(name in (b"", b".", b"..") or b"\0" in name for name in path.split(b"/")):
        raise UsageError(f"{label} is not a path")
    return path


def _read(file: FileIO, start: int, end: int, before: FileIdentity, label: str) -> Iterator[bytes]:
    """The bytes of a part of an open file, which had an identity when it was opened."""
    while start < end:
        with reading(label):
            data = read_range(file.fileno(), start, min(_BLOCK_BYTES, end - start))
        if not data:
            break
        start += len(data)
        yield data
    if start < end or identity_of(os.fstat(file.fileno())) != before:
        changed = SourceChangedError(f"{label} changed while it was read")
        raise failed(changed, ObjectFaultKind.CHANGED)
