"""A regular file or a block device as a source: read once, from start to end.

A file's identity is compared before and after, so the result is one version of the file or an
error, never a mixture. Holes are reported, not read. Files are read by position and never mapped,
since a mapped file that shrinks kills the process.
"""

from __future__ import annotations

import io
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from casync.errors import NotFoundError, SourceChangedError, UsageError
from casync.fs.extents import data_ranges, read_range
from casync.fs.filesystem import Coherence, file_system
from casync.fs.identity import identity_of
from casync.fs.paths import StrPath, as_path
from casync.fs.source.base import BLOCK_BYTES, FileStamp, Hole, Positioned, Source, Span, reading
from casync.fs.source.stream import StreamSource
from casync.limits import KIB

__all__ = [
    "BLOCK_BYTES",
    "FileSource",
    "Hole",
    "FileStamp",
    "Source",
    "Span",
    "StreamSource",
    "coarse_clock",
    "open_source",
]

_MIN_HOLE: Final = 256 * KIB
"""Bytes. Reading a smaller hole is cheaper than skipping it."""

_SETTLED_NS: Final = 2_000_000_000
"""Nanoseconds after which equal times prove equal bytes: the coarsest file system clock."""

_CLOCK_REALTIME_COARSE: Final = 5
_TICK_SECONDS: Final = 0.01
"""The longest tick of a kernel: HZ is 100 or more."""

_TICKS: Final = 5
"""Ticks to wait for a file to rest. A file that never rests is detected after it is read."""


def coarse_clock() -> int:
    """Nanoseconds since 1970 by the clock that the kernel stamps files with."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


class FileSource:
    """A regular file or a block device. Use in a with block.

    Args:
        path: The file; links are followed. Each reading opens it again.
        descriptor: An open file to read instead; `path` is then only its name. Stays open.
        clock: Nanoseconds since 1970, as the file system counts them.

    Raises:
        NotFoundError: There is no file.
        UsageError: It is a folder, a pipe, a socket or a terminal.
        DeniedError, CasyncError: It cannot be opened.
    """

    repeatable = True

    def __init__(
        self,
        path: Path,
        *,
        descriptor: int | None = None,
        clock: Callable[[], int] = coarse_clock,
    ) -> None:
        self.label = str(path)
        self._path = path
        self._descriptor = descriptor
        self._clock = clock
        self._fd = -1
        self._used = False
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes what this object opened. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def length(self) -> int:
        """Bytes of the file or device."""
        return self._length

    def stamp(self) -> FileStamp | None:
        """The stamp of the file; None for devices, network files and files without a path."""
        with reading(self.label):
            if not self._regular or file_system(self._fd).coherence is Coherence.NETWORK:
                return None
            path = self._real_path()
        if path is None:
            return None
        youngest = max(self._identity.mtime_ns, self._identity.ctime_ns)
        settled = self._synced and youngest <= self._seen_at - _SETTLED_NS
        return FileStamp(path, self._identity, settled)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._fd

    def positioned(self, least: int) -> Positioned | None:
        """This source, if it has `least` bytes of data besides holes. See `Source`."""
        self._renew()
        return self if min(self._length, self._data_bytes) >= least else None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """Reads everything; holes are reported by their length. See `Source`."""
        self._renew()
        for span in self.spans(size):
            yield span if isinstance(span, Hole) else self.read(span.start, span.end - span.start)
        self.compare()

    def spans(self, size: int) -> Iterator[Span | Hole]:
        """The spans that `blocks` reads. See `Positioned`."""
        self._used = True
        end = 0
        for start, stop in self._stretches(size):
            if start > end:
                yield Hole(start - end)
            for begin in range(start, stop, size):
                end = min(begin + size, stop)
                # The kernel reads the next span ahead while this one is cut.
                os.posix_fadvise(self._fd, end, size, os.POSIX_FADV_WILLNEED)
                yield Span(begin, end, self._length)
        if end < self._length:
            yield Hole(self._length - end)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at `offset`; fewer at the end.

        Raises:
            SourceChangedError: The file has shrunk.
            CasyncError: They cannot be read.
        """
        wanted = min(size, self._length - offset)
        with reading(self.label):
            data = read_range(self._fd, offset, wanted)
        if len(data) < wanted:
            raise SourceChangedError(f"{self.label} shrank while it was read")
        return data

    def forget(self, offset: int) -> None:
        """Does nothing: the bytes of a file stay readable."""

    def compare(self) -> None:
        """Proves that the file has not changed since before it was read. See `Positioned`."""
        with reading(self.label):
            self._compare()

    def _open(self) -> None:
        self.close()
        with reading(self.label):
            if self._descriptor is None:
                # Checked before the open: opening a pipe would affect its other end.
                _refuse_strange(os.stat(self._path).st_mode, self.label)
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
                self._fd = os.open(self._path, flags)
            else:
                self._fd = os.dup(self._descriptor)
            try:
                self._look()
            except BaseException:
                self.close()
                raise

    def _look(self) -> None:
        # Writes pages that were changed through a mapping, so that the next change through it
        # updates the file's times.
        try:
            os.fdatasync(self._fd)
            self._synced = True
        except OSError:
            self._synced = False
        status = os.fstat(self._fd)
        _refuse_strange(status.st_mode, self.label)
        self._regular = stat.S_ISREG(status.st_mode)
        for _ in range(_TICKS):
            self._seen_at = self._clock()
            status = os.fstat(self._fd)
            if status.st_ctime_ns < self._seen_at or not self._regular:
                break
            # A later change within the same clock tick would be invisible.
            time.sleep(_TICK_SECONDS)
        self._identity = identity_of(status)
        self._length = status.st_size if self._regular else os.lseek(self._fd, 0, os.SEEK_END)
        self._data_bytes = status.st_blocks * 512 if self._regular else self._length

    def _renew(self) -> None:
        """Opens a file again before a second reading: the path may lead to another file now."""
        if not self._used:
            return
        self._used = False
        try:
            self._open()
        except (NotFoundError, UsageError) as error:
            raise SourceChangedError(f"{self.label} vanished while it was read") from error

    def _stretches(self, size: int) -> Iterator[tuple[int, int]]:
        """The ranges to read, in order: the data, and holes that are too small to skip."""
        begin = end = 0
        for start, stop in data_ranges(self._fd, 0, self._length):
            if start - end >= _MIN_HOLE:
                if begin < end:
                    yield begin, end
                begin = start
            end = stop
            if end - begin >= size:
                yield begin, end
                begin = end
        if self._length - end < _MIN_HOLE:
            end = self._length
        if begin < end:
            yield begin, end

    def _compare(self) -> None:
        """Raises SourceChangedError if the file has changed since before it was read."""
        if not self._regular:
            if os.lseek(self._fd, 0, os.SEEK_END) != self._length:
                raise SourceChangedError(f"{self.label} changed its size while it was read")
            return
        after = identity_of(os.fstat(self._fd))
        if after.size != self._length:
            verb = "shrank" if after.size < self._length else "grew"
            raise SourceChangedError(f"{self.label} {verb} while it was read")
        if after != self._identity:
            raise SourceChangedError(f"{self.label} changed while it was read")
        if os.pread(self._fd, 1, self._length):
            raise UsageError(
                f"{self.label} holds more bytes than its size says",
                next_step="Read it with cat, and prepare from the pipe.",
            )
        if self._descriptor is not None:
            os.lseek(self._fd, self._length, os.SEEK_SET)  # as after sequential reading
        elif not self._leads_here(self._path):
            raise SourceChangedError(f"{self.label} was replaced while it was read")

    def _real_path(self) -> bytes | None:
        """A path without links that leads to the open file, if there is one."""
        if self._descriptor is None:
            path = Path(os.path.realpath(self._path))
        else:
            try:
                path = Path(f"/proc/self/fd/{self._fd}").readlink()
            except OSError:  # there is no /proc
                return None
        return bytes(path) if path.is_absolute() and self._leads_here(path) else None

    def _leads_here(self, path: Path) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self._identity.device, self._identity.inode)


def _refuse_strange(mode: int, label: str) -> None:
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return
    if stat.S_ISDIR(mode):
        raise UsageError(f"{label} is a folder", next_step="Name a file, or pipe an archive in.")
    message = f"{label} is neither a file nor a block device"
    if stat.S_ISSOCK(mode):
        raise UsageError(message, next_step="A socket has no content.")
    raise UsageError(message, next_step=f"Pipe it: cat {shlex.quote(label)} | casync prepare.")


def open_source(source: StrPath | BinaryIO) -> FileSource | StreamSource:
    """Opens a path or an open stream as a source.

    A stream that is a regular file or a device at offset 0 is read as such: holes are skipped, and
    the store may remember it. It stays open, and ends up at its end.

    Raises:
        NotFoundError, UsageError, DeniedError, CasyncError: As `FileSource`.
    """
    if isinstance(source, str | os.PathLike):
        return FileSource(as_path(source))
    label = _stream_label(source)
    raw = source.raw if isinstance(source, io.BufferedReader) else source
    # Other streams may have descriptors but deliver other bytes, gzip for example.
    if not isinstance(raw, io.FileIO):
        return StreamSource(source, label)
    with reading(label):
        mode = os.fstat(raw.fileno()).st_mode
        if (stat.S_ISREG(mode) or stat.S_ISBLK(mode)) and source.tell() == 0:
            return FileSource(Path(label), descriptor=raw.fileno())
    return StreamSource(source, label)


def _stream_label(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and name != "<stdin>" else "standard input"
