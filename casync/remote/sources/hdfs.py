"""Files of HDFS by its own protocol, through hdfs-native, which is an extra of this package.

Only this module imports the library. It finds NameNodes, the user and Kerberos as Hadoop's clients
do, from HADOOP_CONF_DIR, HADOOP_USER_NAME and the ticket cache.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from casync.errors import (
    CasyncError,
    DeniedError,
    NotFoundError,
    RemoteError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.address import parse_address, redacted
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.remote.sources.base import (
    ADDRESS_STEP,
    Listed,
    ListedFolder,
    ObjectAnswer,
    failed,
    range_to_read,
)
from casync.remote.sources.options import SourceOptions

if TYPE_CHECKING:
    from hdfs_native import Client, FileStatus

__all__ = ["HdfsOpener", "HdfsSource"]

_AUTHORITY: Final = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?")
_MILLISECOND_NS: Final = 1_000_000
_DENIED: Final = ("AccessControlException", "SaslException", "Permission denied")
_MISSING: Final = ("FileNotFoundException", "not found", "does not exist")


class HdfsOpener:
    """Opens `hdfs://HOST[:PORT]/PATH`, where HOST may be a name service. Those of one share it."""

    def __init__(self, options: SourceOptions) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, HdfsSource] = {}

    def open(self, address: str) -> tuple[HdfsSource, str]:
        """The file system and the path of an address. See `casync.remote.sources.open`.

        Raises:
            UsageError: The address is invalid, or hdfs-native is not installed.
        """
        authority, _, key = parse_address(address).rest.partition("/")
        if not _AUTHORITY.fullmatch(authority):
            raise UsageError(
                f"{redacted(address)} is not an address of HDFS",
                next_step="Write hdfs://HOST:PORT/PATH.",
            )
        with self._lock:
            found = self._sources.get(authority)
            if found is None:
                found = self._sources[authority] = HdfsSource(f"hdfs://{authority}")
        return found, key

    def close(self) -> None:
        """Does nothing: hdfs-native closes connections that are not used."""


class HdfsSource:
    """One file system. See `RemoteSource`.

    Args:
        label: Its address.

    Raises:
        UsageError: hdfs-native is not installed.
        CasyncError: It does not take the address.
    """

    def __init__(self, label: str) -> None:
        self.label = self.place = label
        try:
            from hdfs_native import Client
        except ImportError as error:
            raise UsageError(
                f"{label} needs the library hdfs-native",
                next_step="Run `pip install 'casync[hdfs]'`, or write webhdfs://HOST:9870/PATH.",
            ) from error
        with self._asking(label):
            self._client: Client = Client(label)

    def close(self) -> None:
        """See `RemoteSource`: hdfs-native closes connections that are not used."""

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        try:
            with self._asking(f"{self.label}/{key}"):
                status = self._client.get_file_info(self._path(key))
        except NotFoundError:
            return None
        return None if status.isdir else _listed(key, status)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        for key, status in self._statuses(prefix, recursive=True):
            if not status.isdir:
                yield _listed(key, status)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        objects: list[Listed] = []
        prefixes: list[str] = []
        for key, status in self._statuses(prefix, recursive=False):
            if status.isdir:
                prefixes.append(f"{key}/")
            else:
                objects.append(_listed(key, status))
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
        listed = self.find(key)
        if listed is None or listed.size is None:
            missing = NotFoundError(f"there is no file {self.label}/{key}")
            raise failed(missing, ObjectFaultKind.HTTP, 404)
        asked = range_to_read(listed, start, end, same, unless)
        if asked is None:
            return None
        blocks = self._blocks(key, asked.start, asked.end - asked.start)
        return ObjectAnswer(listed, asked.start, blocks, _nothing, is_ranged=asked.is_ranged)

    def _statuses(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, FileStatus]]:
        """What is in a folder, whose path ends with a slash, with keys."""
        with self._asking(f"{self.label}/{folder}"):
            found = iter(self._client.list_status(self._path(folder), recursive))
        while True:
            with self._asking(f"{self.label}/{folder}"):
                status = next(found, None)
            if status is None:
                return
            key = status.path.removeprefix(self.label).lstrip("/")
            if f"{key}/" == folder:
                missing = NotFoundError(f"{self.label}/{folder} is a file")
                raise failed(missing, ObjectFaultKind.HTTP, 404)
            yield key, status

    def _blocks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        label = f"{self.label}/{key}"
        left = length
        with self._asking(label):
            blocks = iter(self._client.read(self._path(key)).read_range_stream(start, length))
        while left > 0:
            with self._asking(label):
                block = next(blocks, None)
            if block is None:
                break
            left -= len(block)
            yield block
        if left:
            changed = SourceChangedError(f"{label} changed while it was read")
            raise failed(changed, ObjectFaultKind.CHANGED)

    def _path(self, key: str) -> str:
        """The path of a key.

        Raises:
            UsageError: It leads out of its folder, or is not text.
        """
        names = key.removesuffix("/").split("/")
        if key and not {"", ".", ".."}.isdisjoint(names):
            raise UsageError(f"{self.label}/{key} is not a path")
        return f"/{key.removesuffix('/')}"

    @contextmanager
    def _asking(self, label: str) -> Iterator[None]:
        """Translates errors of the library, which are of few classes."""
        try:
            yield
        except CasyncError:
            raise
        except Exception as error:
            raise _translated(error, label) from error


def _nothing() -> None:
    return None


def _listed(key: str, status: FileStatus) -> Listed:
    time, length = status.modification_time, status.length
    validators = Validators(last_modified=time * _MILLISECOND_NS, version=f"{time}-{length}")
    return Listed(key, length, validators)


def _translated(error: Exception, label: str) -> CasyncError:
    text = str(error).partition("\n")[0]
    if isinstance(error, FileNotFoundError) or any(each in text for each in _MISSING):
        missing = NotFoundError(f"there is no {label}", next_step=ADDRESS_STEP)
        return failed(missing, ObjectFaultKind.HTTP, 404)
    if isinstance(error, PermissionError) or any(each in text for each in _DENIED):
        denied = DeniedError(
            f"may not read {label}: {text}", next_step="Set HADOOP_USER_NAME, or run kinit."
        )
        return failed(denied, ObjectFaultKind.HTTP, 403)
    if isinstance(error, OSError):
        return failed(UnreachableError(f"cannot reach {label}: {text}"), ObjectFaultKind.CONNECT)
    return failed(RemoteError(f"cannot read {label}: {text}"), ObjectFaultKind.HTTP)
