"""Settled folders: those that are on disk exactly as the tree has them, with everything in them.

A pull notes each folder in which every entry is right. The next one looks at the status of every
file in these folders, and passes over a folder that the new tree has too, if nothing in it changed:
its entries need not be loaded, decoded or compared. The proof is that of the scan cache: it has the
names that it had, the identities of all entries are as they were when these were right, and any
change since would have changed them. Its own metadata is compared each time.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
from blake3 import blake3

from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.row_file import RowWriter, read_file
from casync.fs.scan_cache import ScanCache
from casync.fs.target.metadata import MetadataPolicy
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams
from casync.objects.tree import File, Folder, Leaf
from casync.ops.pull_folder.tree_shape import Shape

__all__ = ["SettledFolders", "SettledWriter"]

_MOST: Final = 1 << 17
"""Folders that are known at once: some 50 MiB. The others are compared."""

_MOST_PATH_BYTES: Final = 32 * MIB
"""Of the paths of these folders."""

_MOST_LEAVES: Final = 1 << 16
"""Entries of a folder that can be noted: 512 KiB of contents in a row."""

_ROW_BYTES: Final = 250
"""Approximate bytes of a row, not counting its path and its contents."""

_DIGEST_BYTES: Final = 16
_PREFIX_BYTES: Final = 8

_FIELDS: Final = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
_ENCODER: Final = msgspec.msgpack.Encoder()


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """A folder. Rows stand in the order in which a walk leaves the folders.

    Attributes:
        path: Its path in the target.
        entry: Its entry in the tree.
        stamp: The digest of what is in it; see `_stamp`.
        folders: Number of folders directly in it.
        own: Its shape as if these were empty.
        contents: The first bytes of the ids of the contents of its files.
    """

    path: bytes
    entry: Folder
    stamp: bytes
    folders: int
    own: Shape
    contents: bytes


_DECODER: Final = msgspec.msgpack.Decoder(type=list[_Row])


class _Done(NamedTuple):
    """A folder that the check has left; without a shape, something in it changed."""

    path: bytes
    shape: Shape | None


class SettledFolders:
    """The settled folders of one target.

    Args:
        file: Path and head of the file that the last pull wrote; None if there is none.
        policy: The metadata of folders to compare.
    """

    def __init__(self, file: tuple[Path, bytes] | None, policy: MetadataPolicy) -> None:
        self._file = file
        self._policy = policy
        self._shapes: dict[bytes, Shape] = {}

    @classmethod
    def of(
        cls, scan_cache: ScanCache, target: Path, params: ChunkerParams, policy: MetadataPolicy
    ) -> Self:
        """Those that the last pull into `target` noted, none of them checked yet."""
        return cls(_file_of(scan_cache, target, params, policy), policy)

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def check(self, root: int) -> None:
        """Compares the folders with the disk. Those that changed are not settled.

        Args:
            root: Descriptor of the target.
        """
        done: list[_Done] = []
        path_bytes = 0
        for row in islice(self.rows(), _MOST):
            path_bytes += len(row.path)
            if path_bytes > _MOST_PATH_BYTES:
                break
            shape = _shape_with(row, done)
            if shape is not None and self._is_as_noted(root, row):
                self._shapes[_key(row.path, row.entry)] = shape
            else:
                shape = None
            done.append(_Done(row.path, shape))

    def _is_as_noted(self, root: int, row: _Row) -> bool:
        """Whether a folder, without what is in folders in it, is as it was."""
        leaves: list[tuple[str, os.stat_result]] = []
        folders: list[str] = []
        try:
            fd = open_beneath(root, row.path, FOLDER)
            try:
                if self._policy.differences(row.entry, os.fstat(fd), fd):
                    return False
                with os.scandir(fd) as listed:
                    for entry in listed:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.name)
                        else:
                            leaves.append((entry.name, entry.stat(follow_symlinks=False)))
            finally:
                os.close(fd)
        except OSError:
            return False
        return _stamp(leaves, folders) == row.stamp

    def clear(self) -> None:
        """Counts no folder as settled any more."""
        self._shapes.clear()

    def shape(self, path: bytes, folder: Folder) -> Shape | None:
        """The shape of a folder of the tree, if everything in it is on disk already."""
        return self._shapes.get(_key(path, folder)) if self._shapes else None

    def covers(self, path: bytes, folder: Folder) -> bool:
        """Whether everything in a folder of the tree is on disk already."""
        return self.shape(path, folder) is not None

    def with_contents(self, wanted: set[bytes]) -> Iterator[tuple[bytes, Folder]]:
        """The settled folders, with paths, that probably have a file with one of some contents."""
        prefixes = set(array("Q", b"".join(ident[:_PREFIX_BYTES] for ident in wanted)))
        for row in self.rows() if self._shapes else ():
            if not prefixes.isdisjoint(array("Q", row.contents)) and self.covers(
                row.path, row.entry
            ):
                yield row.path, row.entry

    def rows(self) -> Iterator[_Row]:
        """All rows of the file, settled or not."""
        return iter(()) if self._file is None else read_file(*self._file, _DECODER)


class _Open:
    """A folder that the writer is in; `is_right` as long as everything in it is."""

    def __init__(self, path: bytes, entry: Folder) -> None:
        self.path = path
        self.entry = entry
        self.is_right = True
        self.leaves: list[tuple[str, os.stat_result]] = []
        self.folders: list[str] = []
        self.contents = bytearray()
        self.files = self.length = self.path_bytes = 0


class SettledWriter:
    """Notes settled folders below the root for the next pull.

    Entries come in the order of the walk.

    Args:
        scan_cache: The scan caches.
        target: The target.
        params: Chunk sizes of the tree.
        policy: The metadata that was compared.
        last: The settled folders of this pull.
    """

    def __init__(
        self,
        scan_cache: ScanCache,
        target: Path,
        params: ChunkerParams,
        policy: MetadataPolicy,
        last: SettledFolders,
    ) -> None:
        self._writer = RowWriter(*_file_of(scan_cache, target, params, policy))
        self._open: list[_Open] = []
        self._last = last.rows()

    def enter(self, path: bytes, entry: Folder) -> None:
        """Enters a folder."""
        if self._open:
            self._name(self._open[-1], entry)
        self._open.append(_Open(path, entry))

    def add(self, entry: Leaf, status: os.stat_result) -> None:
        """Adds an entry that is right, with a status that any change from now on will change."""
        here = self._open[-1]
        if entry.first is not None or len(here.leaves) == _MOST_LEAVES:
            here.is_right = False
        if not here.is_right:
            return
        here.leaves.append((os.fsdecode(entry.name), status))
        here.path_bytes = max(here.path_bytes, len(entry.name))
        if isinstance(entry, File):
            here.files += 1
            here.length += entry.content.length
            here.contents += entry.content.id[:_PREFIX_BYTES]

    def spoil(self) -> None:
        """Something in the open folder is not as the tree has it, or not certainly."""
        self._open[-1].is_right = False

    def pass_over(self, path: bytes, entry: Folder) -> None:
        """Takes a settled folder, with everything in it, from the file of the last pull."""
        self._name(self._open[-1], entry)
        for row in self._last:
            if row.path == path or row.path.startswith(path + b"/"):
                self._add(row)
            if row.path == path:
                return

    def leave(self) -> None:
        """Leaves a folder."""
        here = self._open.pop()
        if not here.path or not here.is_right:
            return
        stamp = _stamp(here.leaves, here.folders)
        if stamp is None:
            return
        entries = len(here.leaves) + len(here.folders)
        own = Shape(entries, here.files, here.length, 1, here.path_bytes, has_links=False)
        folders = len(here.folders)
        self._add(_Row(here.path, here.entry, stamp, folders, own, bytes(here.contents)))

    def keep(self) -> None:
        """Finishes the file."""
        self._writer.keep()

    def drop(self) -> None:
        """Discards a file that was not kept. May be called after `keep`."""
        self._writer.drop()

    def _name(self, here: _Open, entry: Folder) -> None:
        here.folders.append(os.fsdecode(entry.name))
        here.path_bytes = max(here.path_bytes, len(entry.name))

    def _add(self, row: _Row) -> None:
        self._writer.add(row, _ROW_BYTES + len(row.path) + len(row.contents))


def _file_of(
    scan_cache: ScanCache, target: Path, params: ChunkerParams, policy: MetadataPolicy
) -> tuple[Path, bytes]:
    return scan_cache.beside(target, ["settled", params, policy.exact, policy.may_own])


def _key(path: bytes, folder: Folder) -> bytes:
    return blake3(_ENCODER.encode(folder) + path).digest(length=_DIGEST_BYTES)


def _shape_with(row: _Row, done: list[_Done]) -> Shape | None:
    """The shape of a folder with everything in it, if all folders in it are settled.

    Takes what is below the folder off the end of `done`.
    """
    start = row.path + b"/" if row.path else b""
    shape: Shape | None = row.own
    folders = 0
    while done and done[-1].path.startswith(start):
        path, below = done.pop()
        name = path[len(start) :]
        if below is None:
            shape = None
        if b"/" not in name:
            folders += 1
            if shape is not None and below is not None:
                shape = shape.including(name, below)
    return shape if folders == row.folders else None


def _stamp(leaves: list[tuple[str, os.stat_result]], folders: list[str]) -> bytes | None:
    """A digest of the identities and names of what is in a folder; None if a time is too far away.

    Folders in it count by name only: they have stamps of their own.
    """
    leaves.sort(key=itemgetter(0))
    folders.sort()
    states = list(map(_FIELDS, map(itemgetter(1), leaves)))
    try:
        data = _ENCODER.encode(states)
    except OverflowError:
        return None
    names = "/".join([*map(itemgetter(0), leaves), "", *folders])
    return blake3(data + os.fsencode(names)).digest(length=_DIGEST_BYTES)
