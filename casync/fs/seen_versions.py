"""The last seen version of each signed name, by key: protects against rollback.

There is one small file for each key and name. It is replaced atomically, and durable before the
version is relied on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from casync.errors import IntegrityError
from casync.fs.os_errors import writing
from casync.fs.sync import sync_folder, sync_parents

__all__ = ["SeenVersion", "SeenVersions"]

_LOCK: Final = "lock"


class SeenVersion(msgspec.Struct, frozen=True):
    """A version of a name, and the manifest that it pointed to, in hex."""

    name: str
    version: int
    manifest: str


class SeenVersions:
    """Seen versions, in a folder that is made on first use.

    Args:
        folder: The folder's path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Locks the folder against other processes.

        Raises:
            WriteError, NoSpaceError: The folder cannot be written.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._folder / _LOCK, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def last(self, key: bytes, name: str) -> SeenVersion | None:
        """The version of `name` signed by `key` that was seen last, if any.

        Raises:
            IntegrityError: The record is damaged or cannot be read.
        """
        path = self._path(key, name)
        try:
            seen = msgspec.json.decode(path.read_bytes(), type=SeenVersion)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise IntegrityError(
                f"{path} records the last seen version of {name} and cannot be read: {error}",
                next_step="Remove it if you are sure that the server has the newest version.",
            ) from error
        return seen if seen.name == name else None

    def note(self, key: bytes, seen: SeenVersion) -> None:
        """Records a version. Durable on return.

        Raises:
            WriteError, NoSpaceError: It cannot be written.
        """
        path = self._path(key, seen.name)
        aside = path.with_suffix(".new")
        with writing(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(aside, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(seen))
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, path)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_folder(folder)
            finally:
                os.close(folder)
            sync_parents(self._folder)

    def _path(self, key: bytes, name: str) -> Path:
        return self._folder / f"{blake3(key + name.encode()).hexdigest()}.json"
