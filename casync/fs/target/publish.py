"""Publishes finished files: moves them in batches from the staging folder to their places.

A name must not lead to a file whose bytes a power loss may destroy, and syncing each small file
costs more than writing it. So files are queued, the file system is synced once for the batch, and
then the files move. A small batch is synced file by file, since other processes may have much
unwritten data on the same file system (docs/adr/0009).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from casync.errors import WriteError
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.cursor import look
from casync.fs.os_errors import write_error, writing_inside
from casync.fs.removal import remove
from casync.fs.sync import sync_file_system, sync_folder
from casync.fs.target.staging import Staging
from casync.limits import MIB

__all__ = ["PublishQueue"]

_MOST: Final = 4096
"""Files in the queue: what a killed run has to redo."""

_MOST_BYTES: Final = 256 * MIB

_MOST_PATH_BYTES: Final = 16 * MIB
"""Of the paths of files that wait."""

_FEW: Final = 64
"""Up to this many files or folders are synced one by one."""


class _Ready(NamedTuple):
    name: bytes
    path: bytes
    number: int


class PublishQueue:
    """Takes finished files, and moves them in the order of arrival. Used by one thread.

    Args:
        root: The open folder.
        path: Its path, for messages.
        staging: The staging folder that files come from.
        placed: Is called with the number and the status of each file that has moved.
        replace_folders: Whether to remove folders in the way with everything in them, rather
            than only empty ones.

    Attributes:
        end: All files before this offset of the concatenation have moved or are moving now.
    """

    def __init__(
        self,
        root: int,
        path: Path,
        staging: Staging,
        placed: Callable[[int, os.stat_result], None],
        *,
        replace_folders: bool,
    ) -> None:
        self.end = 0
        self._root = root
        self._path = path
        self._staging = staging
        self._placed = placed
        self._replace_folders = replace_folders
        self._ready: list[_Ready] = []
        self._bytes = self._path_bytes = self._next_end = 0
        self._folder: bytes | None = None
        self._fd = -1
        self._touched: set[bytes] = set()  # folders, as long as there are few

    def add(self, name: bytes, path: bytes, number: int, length: int = 0, end: int = 0) -> None:
        """Queues a finished file.

        Args:
            name: Its name in the staging folder.
            path: Its destination; the folder exists.
            number: Its number for `placed`.
            length: Its bytes.
            end: Where it ends in the concatenation, in bytes.

        Raises:
            WriteError, NoSpaceError: As `flush`.
        """
        self._ready.append(_Ready(name, path, number))
        self._bytes += length
        self._path_bytes += len(path)
        self._next_end = max(end, self._next_end)
        is_large = self._bytes >= _MOST_BYTES or self._path_bytes >= _MOST_PATH_BYTES
        if is_large or len(self._ready) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Moves all queued files.

        Raises:
            WriteError, NoSpaceError: A file cannot be moved, or the disk refuses to sync.
        """
        if not self._ready:
            return
        if len(self._ready) > _FEW:
            sync_file_system(self._staging.fd)
        else:
            self._sync_each()
        self.end = self._next_end
        ready, self._ready = self._ready, []
        self._bytes = self._path_bytes = 0
        for name, path, number in ready:
            self._placed(number, self.place(name, path))

    def place(self, name: bytes, path: bytes) -> os.stat_result:
        """Moves one file at once, and replaces what was there. Returns its status.

        Raises:
            WriteError, NoSpaceError: It cannot be moved.
        """
        folder, _, last = path.rpartition(b"/")
        self.touch(folder)
        try:
            if folder != self._folder:
                self.close()
                self._fd = open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
                self._folder = folder
            try:
                os.rename(name, last, src_dir_fd=self._staging.fd, dst_dir_fd=self._fd)
            except IsADirectoryError:
                self._make_room(path, last)
                os.rename(name, last, src_dir_fd=self._staging.fd, dst_dir_fd=self._fd)
            status = look(self._fd, last)
        except OSError as error:
            raise self._failure(error, path) from error
        if status is None:
            raise WriteError(f"another process removed {self._path / os.fsdecode(path)}")
        return status

    def touch(self, folder: bytes) -> None:
        """Records that names in the folder at a path have changed."""
        if len(self._touched) <= _FEW:
            self._touched.add(folder)

    def sync_names(self) -> None:
        """Makes all changed names durable.

        Raises:
            WriteError: The disk refuses.
        """
        if len(self._touched) > _FEW:
            return sync_file_system(self._root)
        for folder in self._touched:
            with writing_inside(self._path, folder):
                try:
                    fd = open_beneath(self._root, folder, FOLDER)
                except PermissionError:  # its mode forbids opening it by now
                    return sync_file_system(self._root)
                try:
                    sync_folder(fd)
                finally:
                    os.close(fd)
        return None

    def _sync_each(self) -> None:
        for name, path, _ in self._ready:
            with writing_inside(self._path, path):
                status = look(self._staging.fd, name)
                if status is None or not stat.S_ISREG(status.st_mode):
                    continue  # a link has no content
                try:
                    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._staging.fd)
                except PermissionError:  # its mode forbids opening it by now
                    return sync_file_system(self._staging.fd)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        return None

    def close(self) -> None:
        """Closes the folder that was written to last."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._folder = -1, None

    def _make_room(self, path: bytes, last: bytes) -> None:
        if self._replace_folders:
            remove(self._root, path)
        else:
            os.rmdir(last, dir_fd=self._fd)

    def _failure(self, error: OSError, path: bytes) -> Exception:
        where = self._path / os.fsdecode(path)
        if error.errno == errno.EXDEV:
            return WriteError(
                f"{where} lies on another file system than {self._path}",
                next_step="Pull the folder that is mounted there by itself, as REF:PATH.",
            )
        if error.errno == errno.ENOTEMPTY:
            return WriteError(
                f"{where} is a folder that is not empty", next_step="Add --delete, or move it."
            )
        return write_error(error, where)
