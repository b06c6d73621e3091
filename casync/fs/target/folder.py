"""The sink of a folder's files: one concatenation, cut into files in a staging folder.

An output for `casync.ops.pull.rebuild`. Files are opened for every write, since any number of them
grow at the same time; adjacent chunks come in one write, and small files whole.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from casync.fs.beneath import open_beneath
from casync.fs.concatenation import Concatenation, FilePart
from casync.fs.cursor import look
from casync.fs.extents import punch, write_range, zero_range
from casync.fs.folder_seed import read_concatenation
from casync.fs.os_errors import writing_inside
from casync.fs.target.metadata import MetadataPolicy
from casync.fs.target.publish import PublishQueue
from casync.fs.target.staging import Staging, staged_name
from casync.ids import Buffer
from casync.objects.tree import File

__all__ = ["FolderSink"]

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN: Final = os.O_RDWR | (_READ & ~os.O_ACCMODE)


class _Pending(NamedTuple):
    """A file whose bytes are arriving; `end` is where it ends in the concatenation."""

    end: int
    file: int
    entry: File
    number: int


class FolderSink:
    """Writes files of a folder. Any thread may write, zero and read.

    Args:
        root: The open folder.
        path: Its path, for messages.
        staging: Where files grow.
        publish_queue: Takes whole files.
        policy: Applies the metadata of their entries.
    """

    readable = True
    discards = False

    def __init__(
        self,
        root: int,
        path: Path,
        staging: Staging,
        publish_queue: PublishQueue,
        policy: MetadataPolicy,
    ) -> None:
        self.resumed = staging.resumed
        self._files = Concatenation()
        self._root = root
        self._path = path
        self._staging = staging
        self._publish_queue = publish_queue
        self._policy = policy
        self._pending: deque[_Pending] = deque()

    def add(self, path: bytes, entry: File, number: int) -> int:
        """Adds a file that is not empty, before its bytes arrive.

        Args:
            path: Its destination.
            entry: Its entry.
            number: Its number for `publish_queue`.

        Returns:
            Its offset in the concatenation, in bytes.
        """
        start = self._files.add(path, entry.content.length)
        self._pending.append(_Pending(self._files.length, len(self._files) - 1, entry, number))
        return start

    def part(self, offset: int, length: int) -> str:
        """The first part of a file in a range, for messages."""
        part = next(self._files.parts(offset, length))
        return f"bytes {part.offset} to {part.offset + part.length} of {os.fsdecode(part.path)}"

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`, also of files that have moved to their places."""
        return read_concatenation(self._files, self._open, offset, length)

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on."""
        rest = iter(buffers)
        piece = memoryview(b"")
        total = sum(map(len, buffers))
        for part in self._files.parts(offset, total):
            parts: list[Buffer] = []
            missing = part.length
            while missing:
                piece = piece if len(piece) else memoryview(next(rest))
                parts.append(piece[:missing])
                piece = piece[len(parts[-1]) :]
                missing -= len(parts[-1])
            with writing_inside(self._path, part.path, total):
                fd = self._create(staged_name(part.path))
                try:
                    write_range(fd, part.offset, parts)
                finally:
                    os.close(fd)

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros. All of a new file is a hole."""
        if not self.resumed:
            return
        for part in self._files.parts(offset, length):
            with writing_inside(self._path, part.path):
                fd = self._create(staged_name(part.path))
                try:
                    if not punch(fd, part.offset, part.length):
                        zero_range(fd, part.offset, part.length)
                finally:
                    os.close(fd)

    def settle(self, end: int) -> None:
        """Finishes all files whose bytes lie before `end`. Called by one thread, in order.

        Raises:
            WriteError, NoSpaceError: A file cannot be finished.
        """
        while self._pending and self._pending[0].end <= end:
            pending = self._pending.popleft()
            path, entry = self._files.path(pending.file), pending.entry
            name, length = staged_name(path), entry.content.length
            with writing_inside(self._path, path, length):
                self._finish(name, length)
                self._policy.apply(entry, self._staging.thing(name))
            self._publish_queue.add(name, path, pending.number, length, pending.end)

    def _finish(self, name: bytes, length: int) -> None:
        """Sets a file's length: trailing zeros were not written, and old bytes may follow."""
        status = look(self._staging.fd, name)
        if status is None or status.st_size != length:
            fd = self._create(name)
            try:
                os.ftruncate(fd, length)
            finally:
                os.close(fd)

    def _create(self, name: bytes) -> int:
        return os.open(name, _OPEN | os.O_CREAT, 0o600, dir_fd=self._staging.fd)

    def _open(self, part: FilePart) -> int:
        try:
            return os.open(staged_name(part.path), _READ, dir_fd=self._staging.fd)
        except FileNotFoundError:
            # Until the file has moved, another file may lie in its place.
            if part.start >= self._publish_queue.end:
                raise
            return open_beneath(self._root, part.path, os.O_RDONLY)
