"""Builds a tree in a store, from the events of any source.

A source passes events to the builder in the order of a walk: a folder, its entries sorted by name,
its end. A few threads read files, and the builder takes them in order, so the tree does not depend
on their speed. Files that change while they are read, or cannot be read, are left out and reported;
the rest is prepared. Files that are certainly unchanged since the last run are not read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeAlias

from msgspec.structs import replace

from casync.access.ordered import OrderedQueue
from casync.access.progress import Progress
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.cut import usable_cpus
from casync.cutting.small import Chunks, cut_small
from casync.errors import DeniedError, MalformedError, SourceChangedError, UsageError
from casync.fs.identity import FileIdentity
from casync.fs.scan_cache import CachedScan, ScanCache, ScanWriter
from casync.limits import MAX_TREE_PATH
from casync.objects.manifest import Manifest
from casync.objects.tree import (
    EARLIEST_NS,
    LATEST_NS,
    Entry,
    File,
    Folder,
    Meta,
    bounded_time,
    encode_root,
)
from casync.ops.prepare.file import PrepareOptions, publish
from casync.ops.prepare.prepared import FolderPrepared, LeftOut
from casync.ops.prepare.tree_writer import FolderStream, TreeWriter
from casync.store.base import ManifestState, ObjectStore

__all__ = [
    "FOLDER_MODE",
    "KnownEntry",
    "Outcome",
    "ReadFile",
    "TreeBuilder",
    "name_of",
    "plain_meta",
]

_AHEAD: Final = 64
"""Small files that are in memory, or being read."""

FOLDER_MODE: Final = 0o755
"""The mode of a folder whose source has no metadata."""


class KnownEntry(NamedTuple):
    """A complete entry.

    Attributes:
        entry: The entry.
        identity: Its identity in the scan cache; None keeps it out of the cache.
        inode: The key that all its hard links share; None if it cannot have any.
    """

    entry: Entry
    identity: FileIdentity | None = None
    inode: Hashable = None


class ReadFile(NamedTuple):
    """A file that was read whole. `identity` and `inode` are as in `KnownEntry`."""

    meta: Meta
    chunks: Chunks
    identity: FileIdentity | None = None
    inode: Hashable = None


Outcome: TypeAlias = ReadFile | KnownEntry | None
"""The result of reading a path: a file, an entry without content, or nothing if it is gone."""


class _HardLink(NamedTuple):
    """A further hard link to an earlier file."""

    inode: Hashable


class _OpenFolder:
    """A folder that receives entries. Without `meta` it gets the time of its newest entry."""

    def __init__(
        self, path: bytes, meta: Meta | None, stream: FolderStream, parent: _OpenFolder | None
    ) -> None:
        self.path = path
        self.meta = meta
        self.stream = stream
        self.parent = parent
        self.newest_ns = 0


class _PendingEntry(NamedTuple):
    """An entry that waits to be added to a folder; None ends the folder."""

    folder: _OpenFolder
    path: bytes
    found: Future[Outcome] | KnownEntry | _HardLink | None
    last: Entry | None = None  # at the same path, in the last run


class TreeBuilder:
    """Builds one tree in a store. Use in a with block, by one thread.

    Args:
        label: The root's name in messages.
        store: The store.
        options: How to prepare.
        progress: Advances by every byte, and receives a note for every path that is left out.
        readers: Number of files that are read concurrently.

    Raises:
        UsageError: The options expect a SHA-256, which a folder does not have.

    Attributes:
        readers: Threads that read files for `put`.
        tree_writer: Takes the content of files; of large ones after `put_large` only.
        params: Chunk sizes.
    """

    def __init__(
        self,
        label: str,
        store: ObjectStore,
        options: PrepareOptions,
        progress: Progress,
        *,
        readers: int,
    ) -> None:
        if options.expect_sha256 is not None:
            raise UsageError("a folder has no SHA-256; --expect takes a file")
        self.readers = ThreadPoolExecutor(readers, thread_name_prefix="read")
        self.params = options.params
        self._started = time.monotonic()
        self._label = label
        self._store = store
        self._options = options
        self._progress = progress
        self._writer = BatchWriter(store, mends=options.mend)
        self._writer.expect()
        self.tree_writer = TreeWriter(
            self._writer,
            params=options.params,
            level=options.level,
            workers=options.workers or usable_cpus(),
            progress=progress,
        )
        self._stack = ExitStack()
        self._stack.callback(self._writer.close)
        self._stack.callback(self.readers.shutdown, wait=True, cancel_futures=True)
        self._queue = OrderedQueue(self._take, _AHEAD)
        self._open: list[_OpenFolder] = []
        self._links: dict[Hashable, tuple[bytes, Entry | None]] = {}
        self._last: CachedScan | None = None
        self._reuses = False  # entries of the last run
        self._new: ScanWriter | None = None
        self._root: Folder | None = None
        self._left_out: list[LeftOut] = []
        self._files = self._folders = self._others = self._length = 0
        self._added = self._changed = self._unchanged = 0
        self._last_entry: Entry | None = None  # of the path that was looked for last
        self._bounded = 0  # entries whose time is the nearest that an entry can hold

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def remember(self, scan_cache: ScanCache, place: Path | str, now: int) -> None:
        """Uses the scan cache of the last run, and writes one for the next.

        Args:
            scan_cache: The scan caches.
            place: The key of the root's cache. See `ScanCache.new`.
            now: The time of this scan. See `ScanCache.new`.
        """
        self._last = scan_cache.last(place, self.params)
        if self._last is not None:
            self._stack.enter_context(closing(self._last))
            row = self._store.manifest(self._last.manifest)
            is_full = row is not None and row.state is ManifestState.FULL
            self._reuses = is_full and not self._options.reread
        self._new = scan_cache.new(place, self.params, now)
        self._stack.callback(self._new.drop)

    @property
    def remembers(self) -> bool:
        """Whether there is a scan cache of the last run."""
        return self._last is not None

    def enter(self, path: bytes, meta: Meta | None = None) -> None:
        """Opens a folder, the root first. Entries go into it until its `leave`.

        Args:
            path: Its path; empty for the root.
            meta: Its metadata; None if the source has none.
        """
        parent = self._open[-1] if self._open else None
        self._open.append(_OpenFolder(path, meta, FolderStream(self.tree_writer), parent))

    def leave(self) -> None:
        """Ends the innermost open folder."""
        folder = self._open.pop()
        self._queue.put(_PendingEntry(folder, folder.path, None))

    def find(self, path: bytes, identity: FileIdentity) -> Entry | None:
        """The entry from the last run, if the file at `path` is certainly unchanged."""
        if self._last is None:
            return None
        entry = self._last.find(path, identity)
        self._last_entry = self._last.last_entry(path)
        return entry if self._reuses else None

    def is_hard_link(self, path: bytes, inode: Hashable) -> bool:
        """Puts a hard link to an earlier file. Returns False for a first name, which is not put."""
        if inode in self._links:
            self._queue.put(_PendingEntry(self._open[-1], path, _HardLink(inode)))
            return True
        if len(path) <= MAX_TREE_PATH:
            self._links[inode] = path, None
        return False

    def put(self, path: bytes, found: Future[Outcome] | KnownEntry) -> None:
        """Takes the next entry of the folder.

        Args:
            path: Its path.
            found: The entry, or a future of it. If the future raises SourceChangedError,
                DeniedError, UsageError or OSError, the path is left out.

        Raises:
            CasyncError: What the store raises, now or for earlier entries.
        """
        self._queue.put(_PendingEntry(self._open[-1], path, found, self._last_entry))

    def put_large(self, path: bytes, read: Callable[[], KnownEntry]) -> None:
        """Takes a file that need not fit in memory. Raises as `put`.

        Args:
            path: Its path.
            read: Reads it with `TreeWriter.take_large`. Called again if the file changes meanwhile.
        """
        self._queue.finish()
        for last_time in (False, True):
            try:
                known = read()
            except SourceChangedError as error:
                if last_time:
                    self.leave_out(path, error.message)
                else:
                    self._progress.note(f"{error.message}; reading it again")
            except (DeniedError, UsageError) as error:
                return self.leave_out(path, error.message)
            else:
                return self.put(path, known)
        return None

    def leave_out(self, path: bytes, reason: str) -> None:
        """Reports a path that is left out of the tree."""
        self._left_out.append(LeftOut(path, reason))
        self._progress.note(f"left out {os.fsdecode(path) or self._label}: {reason}")

    def finish(self) -> FolderPrepared:
        """Publishes the tree after its root was left.

        Raises:
            NoSpaceError, WriteError, NoObjectError, LostRaceError: As `ObjectStore.commit`.
            MalformedError: The format of trees does not allow the metadata of the root.
        """
        self._queue.finish()
        assert self._root is not None
        content = self.tree_writer.take(cut_small(encode_root(self._root), self.params))
        self.tree_writer.flush()
        manifest = Manifest("tree", self.params, content)
        relied = [self._last.manifest] if self._last is not None and self._reuses else []
        ident, record = publish(manifest, self._writer, self._options, relies=relied)
        if self._new is not None:
            self._new.keep(ident)
        return FolderPrepared(
            manifest=ident,
            files=self._files,
            folders=self._folders,
            others=self._others,
            length=self._length,
            added=self._added,
            changed=self._changed,
            unchanged=self._unchanged,
            chunks=self.tree_writer.chunks,
            new=self.tree_writer.new,
            new_length=self._writer.new_length,
            stored=self._writer.stored,
            left_out=self._left_out,
            sockets=0,
            leftovers=0,
            bounded_times=self._bounded,
            name=record,
            seconds=time.monotonic() - self._started,
        )

    def _take(self, pending: _PendingEntry) -> None:
        """Adds the next entry to its folder, or ends the folder."""
        folder, path, found, last = pending
        if found is None:
            return self._end(folder)
        if isinstance(found, Future):
            try:
                outcome = found.result()
            except (SourceChangedError, DeniedError, UsageError) as error:
                return self.leave_out(path, error.message)
            except OSError as error:
                return self.leave_out(path, error.strerror or str(error))
            if outcome is None:
                return None
            if isinstance(outcome, ReadFile):
                content = self.tree_writer.take(outcome.chunks)
                self._progress.advance(content.length)
                file = File(name_of(path), outcome.meta, None, content)
                outcome = KnownEntry(file, outcome.identity, outcome.inode)
            found = outcome
        if isinstance(found, _HardLink):
            first, entry = self._links[found.inode]
            if entry is None:
                return self.leave_out(path, "it is a hard link to a file that was left out")
            found = KnownEntry(replace(entry, name=name_of(path), first=first))
        elif found.inode in self._links:
            self._links[found.inode] = path, found.entry
        if not self._add(folder, path, found.entry):
            return None
        if isinstance(found.entry, File) and found.entry.first is None:
            self._added += last is None
            self._unchanged += last == found.entry
            self._changed += last is not None and last != found.entry
        if self._new is not None and found.identity is not None:
            self._new.add(path, found.identity, found.entry, with_recent=True)
        return None

    def _end(self, folder: _OpenFolder) -> None:
        meta = folder.meta or plain_meta(FOLDER_MODE, folder.newest_ns)
        entry = Folder(name_of(folder.path), meta, folder.stream.finish())
        if folder.parent is None:
            self._folders += 1
            self._root = entry
            self._bounded += _is_bounded(entry)
            return
        folder.parent.newest_ns = max(folder.parent.newest_ns, folder.newest_ns)
        self._add(folder.parent, folder.path, entry)

    def _add(self, folder: _OpenFolder, path: bytes, entry: Entry) -> bool:
        """Adds an entry to its folder and to the totals, or leaves it out."""
        try:
            folder.stream.add(entry)
        except MalformedError as error:
            self.leave_out(path, error.message)
            return False
        folder.newest_ns = max(folder.newest_ns, entry.meta.mtime_ns)
        self._bounded += _is_bounded(entry)
        if isinstance(entry, File):
            self._files += 1
            self._length += entry.content.length if entry.first is None else 0
        elif isinstance(entry, Folder):
            self._folders += 1
        else:
            self._others += 1
        return True


def _is_bounded(entry: Entry) -> bool:
    """Whether the time of an entry was too far away to be kept as it is."""
    return entry.meta.mtime_ns in (EARLIEST_NS, LATEST_NS)


def name_of(path: bytes) -> bytes:
    """The last part of a path."""
    return path.rpartition(b"/")[2]


def plain_meta(mode: int, mtime_ns: int) -> Meta:
    """The metadata from a source without owners and attributes."""
    return Meta(mode, bounded_time(mtime_ns), 0, 0, "", "", ())
