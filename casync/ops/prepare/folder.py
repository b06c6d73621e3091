"""Preparing a folder: every file in it becomes content, and every folder a stream of entries.

Files are read by a few threads, and taken in the order of the walk, so the tree does not depend on
who was faster. What changes while it is read, or cannot be read, is left out and told; the rest is
prepared. Files that are certainly what they were when the folder was prepared last are not opened.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from casync.access.ordered import OrderedQueue
from casync.access.progress import SILENT, Progress
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.cut import usable_cpus
from casync.cutting.small_files import SMALL_BYTES, SmallFile, read_small
from casync.errors import DeniedError, MalformedError, SourceChangedError, UsageError
from casync.fs.entries import attributes_of, entry_of, meta_of, with_owners
from casync.fs.filesystem import Coherence, file_system
from casync.fs.identity import identity_of
from casync.fs.scan import Entered, FoundFile, Left, Scan, sync_file_system
from casync.fs.scan_cache import CachedScan, ScanCache, ScanWriter
from casync.fs.source.file import FileSource, coarse_clock
from casync.ids import ManifestId
from casync.limits import MAX_TREE_PATH
from casync.names.name import NameRecord
from casync.objects.tree import Entry, File, Folder
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.publish_tree import publish_tree
from casync.ops.prepare.tree_writer import FolderStream, TreeWriter
from casync.store.base import ManifestState, ObjectStore

__all__ = ["FolderPrepared", "LeftOut", "prepare_tree"]

_AHEAD: Final = 64
"""Files that are open at once; their bytes are in memory."""

_READERS: Final = 4
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LeftOut(NamedTuple):
    """Something that is not in the tree although it should be, and why."""

    path: bytes
    reason: str


class FolderPrepared(NamedTuple):
    """What was prepared.

    Attributes:
        manifest: The hash.
        files: Regular files, each name counted.
        folders: Folders, the one itself included.
        others: Links, devices and pipes.
        length: Bytes of the files, hard links counted once.
        unchanged: Files that were as they had been the last time, and not read.
        chunks: Chunks of what was read, those of folders and repeats included.
        new: Those that the store did not have.
        stored: Bytes that were added to the store.
        left_out: What could not be read.
        sockets: Sockets, which have no place in a tree.
        name: The version that the name got.
        seconds: How long it took.
    """

    manifest: ManifestId
    files: int
    folders: int
    others: int
    length: int
    unchanged: int
    chunks: int
    new: int
    stored: int
    left_out: list[LeftOut]
    sockets: int
    name: NameRecord | None
    seconds: float


class _Again(NamedTuple):
    """One more name of a file that was come to before."""

    key: tuple[int, int]


class _Known(NamedTuple):
    """A file or link that is what it was."""

    entry: Entry
    status: os.stat_result


class _Open:
    """A folder whose entries are gathered."""

    def __init__(self, entered: Entered, stream: FolderStream, parent: _Open | None) -> None:
        self.path = entered.path
        self.name = entered.name
        self.meta = meta_of(entered.status, attributes_of(entered.fd))
        self.stream = stream
        self.parent = parent


class _PendingEntry(NamedTuple):
    """Something on its way into a folder; None ends the folder."""

    folder: _Open
    path: bytes
    name: bytes
    thing: _Known | _Again | Future[SmallFile] | None


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
        root: Its path, by which it is remembered.
        scan: The walk through it.
        store: Where to put it.
        options: How.
        scan_cache: Remembers the files of folders.
        progress: Is told of every byte.
        clock: Nanoseconds since 1970 as the file system counts them.

    Raises:
        UsageError: A digest of a folder was asked for.
        SourceChangedError: A folder was moved while its inside was walked.
        NoSpaceError, WriteError: The store cannot take it.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        stack.callback(scan.close)
        if options.expect_sha256 is not None:
            raise UsageError("a folder has no SHA-256; --expect takes a file")
        work = _Preparation(root, store, options, progress)
        stack.callback(work.close)
        if scan_cache is not None and file_system(root).coherence is not Coherence.NETWORK:
            work.remember(scan_cache, clock(), stack)
        progress.start("reading", None)
        prepared = work.run(scan)
    return prepared._replace(seconds=time.monotonic() - started)


class _Preparation:
    """One walk through a folder."""

    def __init__(
        self, root: Path, store: ObjectStore, options: PrepareOptions, progress: Progress
    ) -> None:
        self._root = root
        self._store = store
        self._options = options
        self._progress = progress
        self._writer = BatchWriter(store)
        self._tree_writer = TreeWriter(
            self._writer,
            params=options.params,
            level=options.level,
            workers=options.workers or usable_cpus(),
            progress=progress,
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        self._waiting = OrderedQueue(self._take, _AHEAD)
        self._folders: list[_Open] = []
        self._links: dict[tuple[int, int], tuple[bytes, Entry | None]] = {}
        self._synced: set[int] = set()
        self._last: CachedScan | None = None
        self._new: ScanWriter | None = None
        self._device: int | None = None
        self._root_entry: Folder | None = None
        self._left_out: list[LeftOut] = []
        self._files = self._folder_count = self._others = 0
        self._length = self._unchanged = self._sockets = 0

    def remember(self, scan_cache: ScanCache, now: int, stack: ExitStack) -> None:
        """Uses what is known of the folder, and keeps what is seen of it now."""
        params = self._options.params
        last = None if self._options.reread else scan_cache.last(self._root, params)
        if last is not None:
            stack.enter_context(closing(last))
            row = self._store.manifest(last.manifest)
            if row is not None and row.state is ManifestState.FULL:
                self._last = last
        self._new = scan_cache.new(self._root, params, now)
        stack.callback(self._new.drop)

    def close(self) -> None:
        """Ends the threads, and closes the files that nobody came to read."""
        for waiting in self._waiting:
            if isinstance(waiting.thing, Future):
                waiting.thing.cancel()
        self._readers.shutdown(wait=True)
        self._writer.close()

    def run(self, scan: Scan) -> FolderPrepared:
        """Walks, and publishes the tree."""
        for event in scan:
            if isinstance(event, FoundFile):
                self._leaf(event)
            elif isinstance(event, Entered):
                self._device = event.status.st_dev if self._device is None else self._device
                parent = self._folders[-1] if self._folders else None
                self._folders.append(_Open(event, FolderStream(self._tree_writer), parent))
                self._folder_count += 1
            elif isinstance(event, Left):
                self._waiting.put(_PendingEntry(self._folders.pop(), b"", b"", None))
            else:
                self._leave_out(event.path, event.reason)
        self._waiting.finish()
        assert self._root_entry is not None
        return self._publish(self._root_entry)

    def _leaf(self, leaf: FoundFile) -> None:
        """Finds out what a thing is, or has it read."""
        path, name, status, folder = leaf
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._links:
            return self._waiting.put(_PendingEntry(self._folders[-1], path, name, _Again(key)))
        if status.st_nlink > 1 and len(path) <= MAX_TREE_PATH:
            self._links[key] = path, None
        entry = self._last.find(path, identity_of(status)) if self._last is not None else None
        try:
            if entry is not None:
                self._unchanged += isinstance(entry, File)
                entry = with_owners(entry, status)
            elif stat.S_ISREG(status.st_mode):
                return self._file(leaf)
            else:
                entry = entry_of(name, status, folder)
        except FileNotFoundError:  # gone by now
            return None
        except OSError as error:
            return self._leave_out(path, error.strerror or str(error))
        if entry is None:
            self._sockets += 1
            return None
        return self._waiting.put(
            _PendingEntry(self._folders[-1], path, name, _Known(entry, status))
        )

    def _file(self, leaf: FoundFile) -> None:
        """Opens a file, and has it read."""
        if self._new is not None and leaf.status.st_dev not in self._synced:
            self._synced.add(leaf.status.st_dev)
            sync_file_system(leaf.folder)
        fd = os.open(leaf.name, _FILE_FLAGS, dir_fd=leaf.folder)
        folder, params = self._folders[-1], self._tree_writer.params
        if leaf.status.st_size > SMALL_BYTES:
            self._waiting.finish()
            try:
                self._large(folder, leaf, fd)
            finally:
                os.close(fd)
            return
        reading = self._readers.submit(read_small, fd, params)
        reading.add_done_callback(lambda _: os.close(fd))
        self._waiting.put(_PendingEntry(folder, leaf.path, leaf.name, reading))

    def _large(self, folder: _Open, leaf: FoundFile, fd: int) -> None:
        label = self._root / os.fsdecode(leaf.path)
        for last_time in (False, True):
            try:
                status = os.fstat(fd)
                with FileSource(label, descriptor=fd) as source:
                    content = self._tree_writer.take_large(source)
                if identity_of(os.fstat(fd)) != identity_of(status):
                    raise SourceChangedError(f"{label} changed while it was read")
            except SourceChangedError as error:
                if last_time:
                    self._leave_out(leaf.path, "it changed while it was read")
                else:
                    self._progress.note(f"{error.message}; reading it again")
            except (DeniedError, UsageError) as error:
                return self._leave_out(leaf.path, error.message)
            else:
                entry = File(leaf.name, meta_of(status, attributes_of(fd)), None, content)
                return self._take(
                    _PendingEntry(folder, leaf.path, leaf.name, _Known(entry, status))
                )
        return None

    def _take(self, waiting: _PendingEntry) -> None:
        """Puts the next thing into its folder."""
        folder, path, name, thing = waiting
        if thing is None:
            return self._end(folder)
        if isinstance(thing, Future):
            try:
                read = thing.result()
            except SourceChangedError as error:
                return self._leave_out(path, error.message)
            except OSError as error:
                return self._leave_out(path, error.strerror or str(error))
            self._progress.advance(read.status.st_size)
            content = self._tree_writer.take(read.chunks)
            thing = _Known(File(name, read.meta, None, content), read.status)
        if isinstance(thing, _Again):
            first, entry = self._links[thing.key]
            if entry is None:
                return self._leave_out(path, "it is a name of a file that was left out")
            entry, status = replace(entry, name=name, first=first), None
        else:
            entry, status = thing
            key = (status.st_dev, status.st_ino)
            if key in self._links:
                self._links[key] = path, entry
        try:
            folder.stream.add(entry)
        except MalformedError as error:
            return self._leave_out(path, error.message)
        if isinstance(entry, File):
            self._files += 1
            self._length += entry.content.length if entry.first is None else 0
        else:
            self._others += 1
        if self._new is not None and status is not None and status.st_dev == self._device:
            self._new.add(path, identity_of(status), entry)
        return None

    def _end(self, folder: _Open) -> None:
        entry = Folder(folder.name, folder.meta, folder.stream.finish())
        if folder.parent is None:
            self._root_entry = entry
            return
        try:
            folder.parent.stream.add(entry)
        except MalformedError as error:
            self._leave_out(folder.path, error.message)

    def _leave_out(self, path: bytes, reason: str) -> None:
        self._left_out.append(LeftOut(path, reason))
        self._progress.note(f"left out {os.fsdecode(path) or self._root}: {reason}")

    def _publish(self, root: Folder) -> FolderPrepared:
        relied = self._last.manifest if self._last is not None else None
        ident, record = publish_tree(root, self._tree_writer, self._writer, self._options, relied)
        if self._new is not None:
            self._new.keep(ident)
        return FolderPrepared(
            manifest=ident,
            files=self._files,
            folders=self._folder_count,
            others=self._others,
            length=self._length,
            unchanged=self._unchanged,
            chunks=self._tree_writer.chunks,
            new=self._tree_writer.new,
            stored=self._writer.stored,
            left_out=self._left_out,
            sockets=self._sockets,
            name=record,
            seconds=0.0,
        )
