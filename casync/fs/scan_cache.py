"""What was seen of a folder's files when it was prepared last, so that they need not be read again.

A file beside the store for each folder, in the order in which the folder is walked: the next walk
goes through both at once, and neither needs to fit in memory. It is a convenience, and may be
lost or damaged at any time: whatever is not there as it was written is read again. What a file
system says of a file (its times above all, which every change of it moves) must be equal to the
last bit, and old enough when it was seen, for the file to count as unchanged.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from blake3 import blake3

from casync.fs.identity import FileIdentity
from casync.ids import ID_BYTES, ManifestId
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams
from casync.objects.tree import Entry

__all__ = [
    "CachedScan",
    "ScanWriter",
    "CachedEntry",
    "ScanCache",
    "encode_block",
    "read_entries",
    "walk_key",
]

_MAGIC: Final = b"casync folder 1\n"
_BLOCK: Final = struct.Struct("<I8s")
_BLOCK_BYTES: Final = 256 * 1024
_ROW_BYTES: Final = 200
"""About what a row takes besides its path."""

_MAX_BLOCK: Final = 8 * MIB
_CHECK_BYTES: Final = 8
_FOOT_BYTES: Final = ID_BYTES + _CHECK_BYTES
_SETTLED_NS: Final = 2_000_000_000
"""Nanoseconds after which equal times prove equal bytes: the coarsest clock of a file system."""


class CachedEntry(msgspec.Struct, frozen=True, array_like=True):
    """What was seen of one thing that is no folder, and the entry that it had."""

    key: bytes
    identity: FileIdentity
    entry: Entry


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(type=list[CachedEntry])


def walk_key(path: bytes) -> bytes:
    """Sorts as the walk goes: a folder, all that is in it, what comes behind it."""
    return path.replace(b"/", b"\0")


class CachedScan:
    """The sightings of one earlier walk. Ask in the order of the walk.

    Attributes:
        manifest: The tree that was made of it; its content is good only while that is full.
    """

    def __init__(self, file: BinaryIO, manifest: ManifestId) -> None:
        self.manifest = manifest
        self._file = file
        self._rows = read_entries(file)
        self._next = next(self._rows, None)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def find(self, path: bytes, identity: FileIdentity) -> Entry | None:
        """The entry of what is at `path`, if it is certainly what it was."""
        key = walk_key(path)
        while self._next is not None and self._next.key < key:
            self._next = next(self._rows, None)
        row = self._next
        if row is None or row.key != key or row.identity != identity:
            return None
        return row.entry


class ScanWriter:
    """The sightings of a walk that goes on. Visible when it is kept.

    What cannot be written is not remembered; the walk is worth more than its memory.
    """

    def __init__(self, path: Path, head: bytes, seen_at: int) -> None:
        self._settled = seen_at - _SETTLED_NS
        self._path = path
        self._part = path.with_suffix(f".{os.getpid()}")
        self._head = head
        self._rows: list[CachedEntry] = []
        self._size = 0
        self._file = self._open()
        self._write(head)

    def add(self, path: bytes, identity: FileIdentity, entry: Entry) -> None:
        """Takes the next thing that was seen; what is too young is not remembered.

        Args:
            path: Where.
            identity: What was said of it before it was read.
            entry: What it is.
        """
        if max(identity.mtime_ns, identity.ctime_ns) > self._settled:
            return
        row = CachedEntry(walk_key(path), identity, entry)
        self._rows.append(row)
        self._size += _ROW_BYTES + len(row.key)
        if self._size >= _BLOCK_BYTES:
            self._flush()

    def keep(self, manifest: ManifestId) -> None:
        """Ends it: this is what the folder was when it became `manifest`."""
        self._flush()
        self._write(_foot(self._head, manifest))
        with suppress(OSError):
            self._file.close()
            self._part.replace(self._path)

    def drop(self) -> None:
        """Leaves nothing behind of a walk that was not kept. May be called after `keep`."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            for left in self._path.parent.glob(f"{self._path.name}.*"):  # by one that was killed
                left.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            return open(os.open(self._part, flags, 0o600), "wb")
        except OSError:
            return open(os.devnull, "wb")

    def _flush(self) -> None:
        self._write(encode_block(_ENCODER.encode(self._rows)))
        self._rows, self._size = [], 0

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            self._file.write(data)


class ScanCache:
    """All that is remembered of folders, as files in one place.

    Args:
        place: The folder of those files; made when the first is written.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def last(self, root: Path | str, params: ChunkerParams) -> CachedScan | None:
        """What was seen of `root` when it was last prepared with `params`. See `new`."""
        head = _head(root, params)
        with ExitStack() as stack, suppress(OSError):
            file = stack.enter_context(self._path(head).open("rb"))
            file.seek(-_FOOT_BYTES, os.SEEK_END)
            end = file.read()
            file.seek(0)
            manifest = ManifestId(end[:ID_BYTES])
            if file.read(len(head)) == head and end == _foot(head, manifest):
                stack.pop_all()
                return CachedScan(file, manifest)
        return None

    def new(self, root: Path | str, params: ChunkerParams, seen_at: int) -> ScanWriter:
        """Takes what is seen of `root` from now on.

        Args:
            root: The folder, or the address of one that is on no disk here: `s3://bucket/`.
            params: Chunk sizes of the entries' content.
            seen_at: What the file system's clock says now, in nanoseconds.
        """
        head = _head(root, params)
        return ScanWriter(self._path(head), head, seen_at)

    def _path(self, head: bytes) -> Path:
        return self._place / blake3(head).hexdigest()


def _head(root: Path | str, params: ChunkerParams) -> bytes:
    """What must stand at the beginning: whose sightings these are."""
    # An address is never taken for a path: those begin with a slash here.
    place = root if isinstance(root, str) else os.path.realpath(root)
    return _MAGIC + _ENCODER.encode([os.fsencode(place), params])


def _foot(head: bytes, manifest: ManifestId) -> bytes:
    """What must stand at the end of a file that was finished."""
    return manifest + _check(head + manifest)


def _check(data: bytes) -> bytes:
    return blake3(data).digest(length=_CHECK_BYTES)


def encode_block(data: bytes) -> bytes:
    """Encoded rows as they stand in the file."""
    return _BLOCK.pack(len(data), _check(data)) + data


def read_entries(file: BinaryIO) -> Iterator[CachedEntry]:
    """The rows up to the end, or to the first damage."""
    with suppress(OSError):
        while len(start := file.read(_BLOCK.size)) == _BLOCK.size:
            length, check = _BLOCK.unpack(start)
            data = file.read(min(length, _MAX_BLOCK))
            if len(data) != length or _check(data) != check:
                return
            try:
                rows = _DECODER.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return
            yield from rows
