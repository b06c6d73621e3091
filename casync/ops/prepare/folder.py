"""Prepares a folder on disk: walks it, and passes what it finds to a tree builder."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from casync.access.progress import SILENT, Progress
from casync.cutting.small import SMALL_BYTES, cut_small
from casync.errors import SourceChangedError
from casync.fs.entries import attributes_of, entry_of, meta_of, with_owners
from casync.fs.extents import read_range
from casync.fs.filesystem import Coherence, file_system
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.scan import Entered, FoundFile, Left, Leftover, Scan
from casync.fs.scan_cache import ScanCache
from casync.fs.source.file import FileSource, coarse_clock
from casync.fs.sync import sync_file_system
from casync.objects.tree import File
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.tree_builder import KnownEntry, Outcome, ReadFile, TreeBuilder
from casync.store.base import ObjectStore

__all__ = ["prepare_tree"]

_READERS: Final = 4
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TICK_SECONDS: Final = 0.01
"""The longest tick of a kernel: HZ is 100 or more."""


def prepare_tree(
    root: Path,
    scan: Scan,
    store: ObjectStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    scan_cache: ScanCache | None = None,
    progress: Progress = SILENT,
    clock: Callable[[], int] = coarse_clock,
) -> FolderPrepared:
    """Puts a folder into `store`.

    Args:
        root: Path of the folder, the key of its scan cache.
        scan: The walk through the folder.
        store: The store.
        options: How to prepare.
        scan_cache: Remembers the files of folders.
        progress: Advances by every byte.
        clock: The file system's clock, in nanoseconds since 1970.

    Raises:
        UsageError: The options expect a SHA-256, which a folder does not have.
        SourceChangedError: A folder was moved while it was walked.
        NoSpaceError, WriteError: The store cannot be written.
    """
    with (
        closing(scan),
        TreeBuilder(str(root), store, options, progress, readers=_READERS) as builder,
    ):
        remembered = scan_cache is not None and (
            file_system(root).coherence is not Coherence.NETWORK
        )
        if scan_cache is not None and remembered:
            builder.remember(scan_cache, root, clock())
        progress.start("reading", None)
        walk = _FolderWalk(root, builder, sync=remembered)
        for event in scan:
            if isinstance(event, FoundFile):
                walk.leaf(event)
            elif isinstance(event, Entered):
                walk.enter(event)
            elif isinstance(event, Left):
                builder.leave()
            elif isinstance(event, Leftover):
                path = os.fsdecode(event.path)
                progress.note(f"left out {path}: an interrupted pull has left it behind")
            else:
                builder.leave_out(event.path, event.reason)
        return builder.finish()._replace(sockets=walk.sockets, leftovers=scan.leftovers)


class _FolderWalk:
    """Passes the events of a walk to a builder.

    Attributes:
        sockets: Number of sockets found.
    """

    def __init__(self, root: Path, builder: TreeBuilder, *, sync: bool) -> None:
        self.sockets = 0
        self._root = root
        self._builder = builder
        self._sync = sync
        self._synced: set[int] = set()
        self._device: int | None = None

    def enter(self, entered: Entered) -> None:
        """Opens a folder."""
        if self._device is None:
            self._device = entered.status.st_dev
        self._builder.enter(entered.path, meta_of(entered.status, attributes_of(entered.fd)))

    def leaf(self, leaf: FoundFile) -> None:
        """Makes the entry of a file, or starts reading it."""
        path, name, status, folder = leaf
        inode = _inode(status) if status.st_nlink > 1 else None
        if inode is not None and self._builder.is_hard_link(path, inode):
            return None
        identity = identity_of(status)
        entry = self._builder.find(path, identity)
        try:
            if entry is not None:
                entry = with_owners(entry, status)
            elif stat.S_ISREG(status.st_mode):
                return self._file(leaf)
            else:
                entry = entry_of(name, status, folder)
        except FileNotFoundError:  # gone by now
            return None
        except OSError as error:
            return self._builder.leave_out(path, error.strerror or str(error))
        if entry is None:
            self.sockets += 1
            return None
        kept = identity if status.st_dev == self._device else None
        return self._builder.put(path, KnownEntry(entry, kept, inode))

    def _file(self, leaf: FoundFile) -> None:
        """Opens a file, and starts reading it."""
        path, name, status, folder = leaf
        if self._sync and status.st_dev not in self._synced:
            self._synced.add(status.st_dev)
            sync_file_system(folder)
        fd = os.open(name, _FILE_FLAGS, dir_fd=folder)
        if status.st_size > SMALL_BYTES:
            try:
                self._builder.put_large(path, partial(self._large, leaf, fd))
            finally:
                os.close(fd)
            return
        reading = self._builder.readers.submit(self._small, fd)
        reading.add_done_callback(lambda _: os.close(fd))
        self._builder.put(path, reading)

    def _large(self, leaf: FoundFile, fd: int) -> KnownEntry:
        label = self._root / os.fsdecode(leaf.path)
        status = os.fstat(fd)
        with FileSource(label, descriptor=fd) as source:
            content = self._builder.tree_writer.take_large(source)
        if identity_of(os.fstat(fd)) != identity_of(status):
            raise SourceChangedError(f"{label} changed while it was read")
        file = File(leaf.name, meta_of(status, attributes_of(fd)), None, content)
        return KnownEntry(file, self._identity(status), _inode(status))

    def _small(self, fd: int) -> Outcome:
        """Reads and cuts a small file. Retries once if it changes meanwhile. Safe in any thread.

        Raises:
            SourceChangedError: The file changed again.
            OSError: The file cannot be read.
        """
        for _ in range(2):
            now = coarse_clock()
            status = os.fstat(fd)
            if status.st_ctime_ns >= now:
                # A later change within the same clock tick would be invisible.
                time.sleep(_TICK_SECONDS)
                status = os.fstat(fd)
            size = status.st_size
            if size > 2 * SMALL_BYTES:
                break
            data = read_range(fd, 0, size + 1)
            meta = meta_of(status, attributes_of(fd))
            if len(data) == size and identity_of(os.fstat(fd)) == identity_of(status):
                chunks = cut_small(data, self._builder.params)
                return ReadFile(meta, chunks, self._identity(status), _inode(status))
        raise SourceChangedError("it changed while it was read")

    def _identity(self, status: os.stat_result) -> FileIdentity | None:
        """The identity for the scan cache; None for files on other file systems than the root."""
        return identity_of(status) if status.st_dev == self._device else None


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
