"""What is prepared: a file or a block device, read once, from its start to its end.

A file is compared with itself before and after: what comes out is one version of it, or an error,
never a mixture. Holes are told, not read. Files are read by position and never mapped, since a
mapped file that shrinks kills the process. Must not know what becomes of the bytes.
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from casync.errors import NotFoundError, SourceChangedError, UsageError
from casync.fs.extents import data_ranges, read_range
from casync.fs.filesystem import Coherence, file_system
from casync.fs.identity import identity_of
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
"""Bytes. A smaller hole costs less to read than to step around."""

_SETTLED_NS: Final = 2_000_000_000
"""Nanoseconds after which equal times prove equal bytes: the coarsest clock of a file system."""

_CLOCK_REALTIME_COARSE: Final = 5
_TICK_SECONDS: Final = 0.01
"""The longest tick of a kernel: HZ is 100 or more."""

_TICKS: Final = 5
"""Ticks to wait for a file to rest; one that never does is caught after the reading."""


def coarse_clock() -> int:
    """Nanoseconds since 1970 by the clock that the kernel stamps files with."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


class FileSource:
    """A regular file or a block device. Use in a with block.

    Args:
        path: The file, links followed. Each reading opens it anew.
        descriptor: An open file to read in place of `path`, which is then only its name. Stays
            open.
        clock: Nanoseconds since 1970 as the file system counts them.

    Raises:
        NotFoundError: Nothing is there.
        UsageError: Something else is there: a folder, a pipe, a socket, a terminal.
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
        """What may be remembered: nothing of devices, network files and files without a path."""
        with reading(self.label):
            if not self._regular or file_system(self._own_path()).coherence is Coherence.NETWORK:
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
        """Itself, if it has that many bytes apart from holes. See `Source`."""
        self._renew()
        return self if min(self._length, self._data_bytes) >= least else None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """Reads everything, holes by their length. See `Source`."""
        self._renew()
        for span in self.spans(size):
            yield span if isinstance(span, Hole) else self.read(span.start, span.end - span.start)
        self.compare()

    def spans(self, size: int) -> Iterator[Span | Hole]:
        """What `blocks` reads, not read yet. See `Positioned`."""
        self._used = True
        end = 0
        for start, stop in self._stretches(size):
            if start > end:
                yield Hole(start - end)
            for begin in range(start, stop, size):
                end = min(begin + size, stop)
                # The disk works on the next span while this one is cut.
                os.posix_fadvise(self._fd, end, size, os.POSIX_FADV_WILLNEED)
                yield Span(begin, end, self._length)
        if end < self._length:
            yield Hole(self._length - end)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at `offset`; fewer at the end.

        Raises:
            SourceChangedError: The end comes earlier than it did.
            CasyncError: They cannot be read.
        """
        wanted = min(size, self._length - offset)
        with reading(self.label):
            data = read_range(self._fd, offset, wanted)
        if len(data) < wanted:
            raise SourceChangedError(f"{self.label} shrank while it was read")
        return data

    def forget(self, offset: int) -> None:
        """Does nothing: a file keeps what was read."""

    def compare(self) -> None:
        """Proves that the file is still what it was before it was read. See `Positioned`."""
        with reading(self.label):
            self._compare()

    def _open(self) -> None:
        self.close()
        with reading(self.label):
            if self._descriptor is None:
                # Looked at first: opening a pipe would be felt at its other end.
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
        # Writes the pages that a mapping has dirtied, so that the next store through it must
        # stamp the file anew.
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
            # Another change within the same tick of the clock would leave no trace.
            time.sleep(_TICK_SECONDS)
        self._identity = identity_of(status)
        self._length = status.st_size if self._regular else os.lseek(self._fd, 0, os.SEEK_END)
        self._data_bytes = status.st_blocks * 512 if self._regular else self._length

    def _renew(self) -> None:
        """Opens anew what was read before: the path may lead to another file now."""
        if not self._used:
            return
        self._used = False
        try:
            self._open()
        except (NotFoundError, UsageError) as error:
            raise SourceChangedError(f"{self.label} vanished while it was read") from error

    def _stretches(self, size: int) -> Iterator[tuple[int, int]]:
        """The ranges to read, in order: the data, and the holes that are too small to matter."""
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
        """Raises SourceChangedError unless the file is still what it was before it was read."""
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
                f"{self.label} holds more bytes than it says",
                next_step="Let cat read it, and prepare from the pipe.",
            )
        if self._descriptor is not None:
            os.lseek(self._fd, self._length, os.SEEK_SET)  # as if it had been read step by step
        elif not self._leads_here(self._path):
            raise SourceChangedError(f"{self.label} was replaced while it was read")

    def _own_path(self) -> Path:
        return Path(f"/proc/self/fd/{self._fd}")

    def _real_path(self) -> bytes | None:
        """The path without links that leads to the open file, if one does."""
        if self._descriptor is None:
            path = Path(os.path.realpath(self._path))
        else:
            path = self._own_path().readlink()
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
    raise UsageError(
        f"{label} is neither a file nor a block device",
        next_step="Let cat read it, and prepare from the pipe.",
    )


def open_source(source: Path | BinaryIO) -> FileSource | StreamSource:
    """What to read for a path or an open stream.

    A stream that is really a file at its start is read as that file: its holes are seen, and the
    store may remember it. It is left open, and stands at its end afterwards.

    Raises:
        NotFoundError, UsageError, DeniedError, CasyncError: As `FileSource`.
    """
    if isinstance(source, Path):
        return FileSource(source)
    label = _stream_label(source)
    raw = source.raw if isinstance(source, io.BufferedReader) else source
    # Other streams have descriptors, too, but give other bytes than those: gzip, for one.
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
