"""Scan cache: the files of a folder as last prepared, so that unchanged ones need not be read.

There is one file for each folder, beside the store, in the order of the walk. The next walk reads
both in step, so neither needs to fit in memory. The cache may be lost or damaged at any time: files
without a valid row are read again. A file counts as unchanged only if its whole identity is equal
(above all its times, which every change updates) and its times were old enough when it was seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from casync.fs.identity import FileIdentity
from casync.fs.row_file import CHECK_BYTES, RowWriter, check_of, decode_rows, read_blocks
from casync.ids import ID_BYTES, ManifestId
from casync.objects.chunker import ChunkerParams
from casync.objects.tree import Entry

__all__ = [
    "NEVER_TOO_YOUNG",
    "SETTLED_NS",
    "CachedScan",
    "ScanWriter",
    "CachedEntry",
    "ScanCache",
    "walk_key",
]

_MAGIC: Final = b"casync folder 1\n"
_ROW_BYTES: Final = 200
"""Approximate bytes of a row, not counting its path."""

_FOOT_BYTES: Final = ID_BYTES + CHECK_BYTES
SETTLED_NS: Final = 2_000_000_000
"""Nanoseconds after which equal times prove equal bytes: the coarsest file system clock."""


NEVER_TOO_YOUNG: Final = 2**63 - 1
"""The time of a scan, in nanoseconds, that no change escapes, as that of objects with ETags."""

_NEVER_NS: Final = -(2**63)
"""A time that no file has."""


class CachedEntry(msgspec.Struct, frozen=True, array_like=True):
    """A file, link, device or pipe as it was seen, and its entry."""

    key: bytes
    identity: FileIdentity
    entry: Entry


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(type=list[CachedEntry])
_RAW_DECODER: Final = msgspec.msgpack.Decoder(type=list[msgspec.Raw])


def walk_key(path: bytes) -> bytes:
    """A key that sorts in walk order: a folder, everything in it, then what follows it."""
    return path.replace(b"/", b"\0")


class CachedScan:
    """The rows of an earlier scan. Query them in walk order.

    Attributes:
        manifest: The tree made from that scan; entries are valid only while it is complete.
    """

    def __init__(self, file: BinaryIO, manifest: ManifestId) -> None:
        self.manifest = manifest
        self._file = file
        self._wanted = b""
        self._rows = self._read()
        self._next = next(self._rows, None)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def find(self, path: bytes, identity: FileIdentity) -> Entry | None:
        """The entry of the file at `path`, if it is certainly unchanged."""
        key = self._wanted = walk_key(path)
        while self._next is not None and self._next.key < key:
            self._next = next(self._rows, None)
        row = self._next
        if row is None or row.key != key or row.identity != identity:
            return None
        return row.entry

    def last_entry(self, path: bytes) -> Entry | None:
        """The entry of the file that was at `path`, which `find` was just asked for."""
        row = self._next
        return row.entry if row is not None and row.key == walk_key(path) else None

    def _read(self) -> Iterator[CachedEntry]:
        """The rows, past blocks that end before the wanted key."""
        for data in read_blocks(self._file):
            raw = decode_rows(data, _RAW_DECODER)
            last = decode_rows(b"\x91" + raw[-1], _DECODER) if raw else None
            if last is None or last[0].key < self._wanted:
                continue
            yield from decode_rows(data, _DECODER) or ()


class ScanWriter:
    """Writes the rows of a running scan. They take effect with `keep`."""

    def __init__(self, path: Path, head: bytes, seen_at: int) -> None:
        self._settled = seen_at - SETTLED_NS
        self._head = head
        self._writer = RowWriter(path, head)

    def add(
        self, path: bytes, identity: FileIdentity, entry: Entry, *, with_recent: bool = False
    ) -> None:
        """Adds the next file of the walk, unless it changed too recently.

        Args:
            path: Its path from the root.
            identity: Its identity before it was read.
            entry: Its entry.
            with_recent: Add a file that changed too recently, too; `find` never finds it.
        """
        if max(identity.mtime_ns, identity.ctime_ns) > self._settled:
            if not with_recent:
                return
            identity = replace(identity, ctime_ns=_NEVER_NS)
        row = CachedEntry(walk_key(path), identity, entry)
        self._writer.add(row, _ROW_BYTES + len(row.key))

    def keep(self, manifest: ManifestId) -> None:
        """Finishes the cache of the scan that became `manifest`."""
        self._writer.keep(_foot(self._head, manifest))

    def drop(self) -> None:
        """Discards a scan that was not kept. May be called after `keep`."""
        self._writer.drop()


class ScanCache:
    """All scan caches, as files in one folder.

    Args:
        place: The folder of those files; made when the first is written.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def last(self, root: Path | str, params: ChunkerParams) -> CachedScan | None:
        """The cache of the last scan of `root` with `params`, if any; arguments as for `new`."""
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
        """Starts the cache of a new scan of `root`.

        Args:
            root: The folder, or the address of a remote one: `s3://bucket/`.
            params: Chunk sizes of the entries' content.
            seen_at: The current time of the file system's clock, in nanoseconds since 1970.
        """
        head = _head(root, params)
        return ScanWriter(self._path(head), head, seen_at)

    def beside(self, root: Path, facts: object) -> tuple[Path, bytes]:
        """Path and head of another file of rows about `root`, which `facts` tell from others."""
        head = _head(root, facts)
        return self._path(head), head

    def _path(self, head: bytes) -> Path:
        return self._place / blake3(head).hexdigest()


def _head(root: Path | str, facts: object) -> bytes:
    """The header that identifies the folder, and the chunk sizes or other facts."""
    # Paths begin with a slash, so an address never equals one.
    place = root if isinstance(root, str) else os.path.realpath(root)
    return _MAGIC + _ENCODER.encode([os.fsencode(place), facts])


def _foot(head: bytes, manifest: ManifestId) -> bytes:
    """The footer of a finished file."""
    return manifest + check_of(head + manifest)
