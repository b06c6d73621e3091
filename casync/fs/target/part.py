"""Part file: a new target grows beside the old one and replaces it atomically.

An interrupted run leaves the part file behind, and the next run resumes it. Other users may be able
to write to the folder, so only a part file that is certainly ours is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from casync.errors import LockedError, WriteError
from casync.fs.extents import clone_range, punch, read_range, write_range, zero_range
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.lock import lock
from casync.fs.os_errors import reading, write_error, writing
from casync.fs.sync import sync_folder
from casync.fs.target.attributes import copy_attributes, set_new_attributes
from casync.fs.target.place import TargetPlace
from casync.ids import Buffer
from casync.limits import KIB

__all__ = ["PartFile", "is_part", "part_name", "shared_part"]

_SUFFIX: Final = ".casync-part"
_HASH_DIGITS: Final = 16
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES: Final = 16
_MODE: Final = 0o600
_LEAST_SHARED: Final = 64 * KIB
"""Bytes. Fewer are copied as fast, and shared blocks of few bytes make a file of many extents."""


def part_name(name: str, limit: int = 255) -> str:
    """The name of the part file of `name`, at most `limit` bytes."""
    whole = f".{name}{_SUFFIX}"
    raw = os.fsencode(name)
    if len(os.fsencode(whole)) <= limit:
        return whole
    digest = hashlib.blake2b(raw, digest_size=_HASH_DIGITS // 2).hexdigest()
    room = limit - len(f"..{digest}{_SUFFIX}")
    return f".{raw[:room].decode('utf-8', 'ignore')}.{digest}{_SUFFIX}"


def is_part(name: bytes, status: os.stat_result) -> bool:
    """Whether a file looks like one that an interrupted pull has left behind.

    A file of another mode is not taken for one: it may be content.
    """
    return (
        name.startswith(b".")
        and name.endswith(_SUFFIX.encode())
        and len(name) > len(_SUFFIX) + 1
        and stat.S_ISREG(status.st_mode)
        and stat.S_IMODE(status.st_mode) == _MODE
        and status.st_nlink == 1
    )


def shared_part(source: int, offset: int, length: int, block: int) -> range:
    """The part of a range of a target that can share blocks with another file.

    Args:
        source: Where the range begins there.
        offset: Where it begins in the target.
        length: Its bytes.
        block: Bytes of a block of the file system.
    """
    start = -(-offset // block) * block
    end = (offset + length) // block * block
    return (
        range(0) if (offset - source) % block or end - start < _LEAST_SHARED else range(start, end)
    )


class PartFile:
    """A sink (`casync.fs.target.base.Sink`) for a new file, or one that replaces another.

    Args:
        place: The target.
        length: Plain bytes of the new content.

    Raises:
        LockedError: Another pull writes to the same target.
        NoSpaceError: A file may not be that large.
        WriteError: It cannot be made, or its name is taken by something else.
    """

    readable = True
    discards = False

    def __init__(self, place: TargetPlace, length: int) -> None:
        self.length = length
        self._path = place.path
        self._fd = self._folder = -1
        self._written = self._committed = False
        with writing(place.path, length):
            self._folder = os.open(place.path.parent, _FOLDER)
            try:
                self._name = part_name(place.path.name, os.fpathconf(self._folder, "PC_NAME_MAX"))
                self._fd, self.resumed = self._open()
                os.ftruncate(self._fd, length)
                self._block = os.fstatvfs(self._fd).f_bsize
            except BaseException:
                self.close()
                raise

    @property
    def path(self) -> Path:
        """The part file."""
        return self._path.with_name(self._name)

    @property
    def allocated(self) -> int:
        """Bytes that the file occupies now."""
        return os.fstat(self._fd).st_blocks * 512

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`; fewer at the end."""
        with reading(self.path):
            return read_range(self._fd, offset, length)

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on."""
        self._written = True
        with writing(self._path, self.length):
            write_range(self._fd, offset, buffers)

    def share(self, fd: int, source: int, offset: int, length: int) -> range:
        """Makes a range share blocks with another file, as far as the file system can.

        Args:
            fd: The other file.
            source: Where the range begins there.
            offset: Where it begins in the target.
            length: Its bytes.

        Returns:
            The bytes of the target that are blocks of the other file now, unproved as those are.
        """
        part = shared_part(source, offset, length, self._block)
        if not part:
            return part
        self._written = True
        with writing(self._path, self.length):
            start = source + part.start - offset
            found = clone_range(fd, start, self._fd, part.start, len(part))
        return part if found else range(0)

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros, as a hole where possible. All of a new file is a hole."""
        if not self.resumed:
            return
        with writing(self._path, self.length):
            if not punch(self._fd, offset, length):
                zero_range(self._fd, offset, length)

    def settle(self, end: int) -> None:
        """Does nothing: every write is immediate."""

    def commit(self) -> list[str]:
        """Replaces the target. Returns notes for the user."""
        with writing(self._path, self.length):
            old = self._stat(self._path.name)
            if old is not None and not stat.S_ISREG(old.st_mode):
                raise WriteError(f"{self._path} is no longer a regular file")
            os.ftruncate(self._fd, self.length)
            self._sync()
            notes = copy_attributes(self._fd, self._path, old) if old is not None else []
            if old is None:
                set_new_attributes(self._fd)
            self._sync()
            os.rename(self._name, self._path.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._committed = True
            sync_folder(self._folder)
        return notes

    def identity(self) -> FileIdentity:
        """The identity of the file now."""
        return identity_of(os.fstat(self._fd))

    def close(self) -> None:
        """Closes the part file. An unwritten new one is removed."""
        if self._fd >= 0:
            if not (self.resumed or self._written or self._committed):
                with suppress(OSError):
                    os.unlink(self._name, dir_fd=self._folder)
            os.close(self._fd)
            self._fd = -1
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> tuple[int, bool]:
        """A locked descriptor of the part file, and whether the file existed before."""
        for _ in range(_TRIES):
            fd, was_there = self._open_once()
            try:
                if self._take(fd, was_there=was_there):
                    return fd, was_there
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise LockedError(f"another process keeps replacing {self.path}")

    def _open_once(self) -> tuple[int, bool]:
        refusal: OSError | None = None
        for flags in (os.O_CREAT | os.O_EXCL, 0, os.O_CREAT | os.O_EXCL):
            try:
                return os.open(self._name, _OPEN | flags, _MODE, dir_fd=self._folder), not flags
            except (FileExistsError, FileNotFoundError) as error:
                refusal = error  # it appeared or vanished meanwhile
            except OSError as error:
                if flags:
                    raise
                status = self._stat(self._name)
                if status is not None and status.st_uid == os.geteuid():
                    raise self._in_the_way(str(error.strerror)) from error
                self._remove()
        if isinstance(refusal, FileNotFoundError):  # the folder is there, but takes no new files
            raise WriteError(
                f"no file can be made in {self.path.parent}", next_step="Name another place."
            ) from refusal
        raise LockedError(f"another process keeps replacing {self.path}")

    def _take(self, fd: int, *, was_there: bool) -> bool:
        """Locks an open part file; False if another has to be opened."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise self._in_the_way("it is not a regular file")
        if status.st_nlink > 1:
            raise self._in_the_way("it has several hard links")
        if was_there and status.st_uid != os.geteuid():
            # Its owner may change it at any time, or an interrupted commit gave it to the owner
            # of the target.
            self._remove()
            return False
        lock(fd, self._path)
        return self._is_named(fd) and self._is_private(fd, was_there=was_there)

    def _remove(self) -> None:
        """Removes the part file of another user."""
        try:
            os.unlink(self._name, dir_fd=self._folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._in_the_way("it belongs to another user") from error

    def _in_the_way(self, reason: str) -> WriteError:
        return WriteError(
            f"{self.path} is not a part file of this user: {reason}",
            next_step="Move it away, and run the command again.",
        )

    def _is_named(self, fd: int) -> bool:
        """Whether the name still leads to `fd`. Another pull may have finished it."""
        named, opened = self._stat(self._name), os.fstat(fd)
        return named is not None and os.path.samestat(named, opened)

    def _is_private(self, fd: int, *, was_there: bool) -> bool:
        """Makes sure that other users cannot write to the locked part file.

        An interrupted commit may have made it writable to others, who may still have it open.
        """
        status = os.fstat(fd)
        if was_there and status.st_mode & 0o022:
            os.unlink(self._name, dir_fd=self._folder)
            return False
        if stat.S_IMODE(status.st_mode) != _MODE:
            with suppress(OSError):  # the file system has no modes
                os.fchmod(fd, _MODE)
        return True

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _sync(self) -> None:
        """Syncs the file. After a failure its bytes are unreliable, so the part file is removed."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
            raise write_error(error, self._path, self.length) from error
