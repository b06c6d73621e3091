"""A folder that stands for a bucket: `file:///FOLDER`. Keys are the paths of files in it.

Files appear whole (`casync.remote.storages.unfinished_files`), and one writer at a time compares
and replaces. Nothing outside the folder is reached: no link in it is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self

from blake3 import blake3

from casync.bucket.storage import ListedKey, StoredObject, Tag, TagForm, check_key
from casync.errors import MalformedError, StoppedError, UsageError
from casync.fs.beneath import FOLDER, open_beneath, open_child
from casync.fs.cursor import look
from casync.fs.extents import read_range
from casync.fs.os_errors import no_folder, writing
from casync.fs.paths import as_path
from casync.fs.source.base import reading
from casync.fs.sync import sync_folder, sync_names
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.unfinished_files import UnfinishedFiles

__all__ = ["FolderStorage", "open_folder"]

_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EXDEV}
)
"""Why a path in the folder leads to no file of it."""


def open_folder(address: str, _: SourceOptions) -> FolderStorage:
    """Opens `file:///FOLDER`. See `casync.remote.storages.open`."""
    path = address.partition("://")[2]
    if not path.startswith("/") or "\0" in path:
        raise UsageError(
            f"{address} is not the address of a folder", next_step="Write file:///FOLDER."
        )
    return FolderStorage(as_path(path))


class _Place(NamedTuple):
    """Where a key lies: an open folder, and the name of the file in it."""

    folder: int
    name: bytes


class FolderStorage:
    """A folder. See `ObjectStorage`.

    A tag is the hash of the bytes, so an object that is again what it was has its old tag.

    Args:
        folder: Its path. The first write makes it, in a folder that exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.realpath(folder))
        self._settled: set[bytes] = set()
        self._is_closed = False

    @property
    def place(self) -> str:
        """See `ObjectStorage`."""
        return f"file://{self._folder}"

    def using(self, form: TagForm) -> Self:
        """See `ObjectStorage`: a folder takes tags as they are."""
        return self

    def get(self, key: str) -> StoredObject | None:
        """See `ObjectStorage`."""
        with self._reading(key) as file:
            if file is None:
                return None
            data = read_range(file, 0, os.fstat(file).st_size)
        return StoredObject(data, _tag(data))

    def tag(self, key: str) -> Tag | None:
        """See `ObjectStorage`."""
        stored = self.get(key)
        return stored.tag if stored is not None else None

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See `ObjectStorage`."""
        with self._reading(key) as file:
            if file is None:
                return None
            return [read_range(file, start, max(0, end - start)) for start, end in ranges]

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """See `ObjectStorage`."""
        self._write(key, data, lambda _: True)

    def create(self, key: str, data: bytes) -> bool:
        """See `ObjectStorage`."""
        return self._write(key, data, lambda there: look(there.folder, there.name) is None)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        """See `ObjectStorage`."""
        return _tag(data) if self._write(key, data, lambda there: _has_tag(there, tag)) else None

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        """See `ObjectStorage`."""
        waiting = [prefix.rpartition("/")[0]]
        while waiting:
            above = waiting.pop()
            for name, status in self._entries(above):
                key = f"{above}/{name}" if above else name
                if not key.startswith(prefix):
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(key)
                elif stat.S_ISREG(status.st_mode):
                    yield ListedKey(key, status.st_size, status.st_mtime)

    def delete(self, keys: Sequence[str]) -> None:
        """See `ObjectStorage`."""
        for key in keys:
            path = self._path(key)
            with writing(self._folder / key), ExitStack() as stack:
                try:
                    root = self._open_root(stack)
                    folder = _keep(stack, open_beneath(root, path.rpartition(b"/")[0], FOLDER))
                except OSError as error:
                    if error.errno in _ABSENT:
                        continue
                    raise
                unfinished = UnfinishedFiles(root)
                stack.callback(unfinished.close)
                with unfinished.locked(), suppress(FileNotFoundError):
                    os.unlink(path.rpartition(b"/")[2], dir_fd=folder)

    def close(self) -> None:
        """See `ObjectStorage`: nothing stays open between two calls."""
        self._is_closed = True

    @contextmanager
    def _reading(self, key: str) -> Iterator[int | None]:
        """The open file of a key, or None."""
        path = self._path(key)
        with reading(f"{self.place}/{key}"), ExitStack() as stack:
            try:
                file = _keep(stack, open_beneath(self._open_root(stack), path, os.O_RDONLY))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                yield None
                return
            yield file if stat.S_ISREG(os.fstat(file).st_mode) else None

    def _write(self, key: str, data: bytes | BinaryIO, allows: Callable[[_Place], bool]) -> bool:
        """Writes a file if what is in its place allows that. Whether it was written."""
        path = self._path(key)
        need = len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
        with writing(self._folder / key, need), ExitStack() as stack:
            self._make_folder()
            root = self._open_root(stack)
            unfinished = UnfinishedFiles(root)
            stack.callback(unfinished.close)
            if not self._settled:
                unfinished.sweep()
            folder, _, name = path.rpartition(b"/")
            there = _Place(self._open_folder(root, folder, stack), name)
            with unfinished.writing(data) as new:
                with unfinished.locked():
                    if not allows(there):
                        return False
                    unfinished.move(new, there.folder, name)
                sync_folder(there.folder)
        return True

    def _make_folder(self) -> None:
        """Makes the folder, unless it is there.

        Raises:
            WriteError: There is no folder to make it in.
        """
        try:
            os.mkdir(self._folder)
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise no_folder(self._folder.parent) from error

    def _open_folder(self, root: int, path: bytes, stack: ExitStack) -> int:
        """Opens the folder of a key, which is made if it is missing; its name is durable."""
        if path in self._settled:
            with suppress(FileNotFoundError):
                return _keep(stack, open_beneath(root, path, FOLDER))
        sync_names(self._folder.parent)
        folder = root
        for name in path.split(b"/") if path else ():
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            below = _keep(stack, open_child(folder, name, FOLDER))
            sync_folder(folder)  # another process may have made it, and not have got this far
            folder = below
        self._settled.add(path)
        return folder

    def _entries(self, path: str) -> Sequence[tuple[str, os.stat_result]]:
        """What is in a folder and has a name as keys have."""
        self._check_open()
        found = []
        with reading(f"{self.place}/{path}"), ExitStack() as stack:
            try:
                root = self._open_root(stack)
                folder = _keep(stack, open_beneath(root, path.encode(), FOLDER))
            except OSError as error:
                if error.errno in _ABSENT:
                    return []
                raise
            for name in os.listdir(folder):
                with suppress(MalformedError):
                    check_key(name)
                    status = look(folder, name.encode())
                    if status is not None:
                        found.append((name, status))
        return found

    def _open_root(self, stack: ExitStack) -> int:
        return _keep(stack, os.open(self._folder, FOLDER | os.O_CLOEXEC))

    def _path(self, key: str) -> bytes:
        """The path of a key; the storage must be open."""
        self._check_open()
        check_key(key)
        return key.encode()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoppedError(f"{self.place} is closed")


def _keep(stack: ExitStack, fd: int) -> int:
    """A descriptor that is closed with the others."""
    stack.callback(os.close, fd)
    return fd


def _tag(data: bytes) -> Tag:
    return Tag(blake3(data).hexdigest())


def _has_tag(there: _Place, tag: Tag) -> bool:
    try:
        fd = open_child(there.folder, there.name, os.O_RDONLY)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    try:
        status = os.fstat(fd)
        return stat.S_ISREG(status.st_mode) and _tag(read_range(fd, 0, status.st_size)) == tag
    finally:
        os.close(fd)
