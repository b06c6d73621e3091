"""Prepare all objects of a bucket below a prefix, as a tree.

Keys become paths. What cannot be one is left out and named: a key that ends at a slash and has
bytes, one that others have as a folder, a name that is too long. An object that has the ETag, the
size and the time that it had when the prefix was prepared last is not read again. Must not know
whose protocol the bucket speaks.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import chain, pairwise
from typing import Final, NamedTuple, TypeAlias

from casync.access.ordered import OrderedQueue
from casync.access.progress import SILENT, Progress
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.cut import usable_cpus
from casync.cutting.small_files import SMALL_BYTES
from casync.errors import (
    DeniedError,
    MalformedError,
    NotFoundError,
    PartialError,
    SourceChangedError,
    UsageError,
)
from casync.fs.scan import Unwanted
from casync.fs.scan_cache import CachedScan, ScanCache, ScanWriter
from casync.limits import MAX_TREE_DEPTH
from casync.objects.node import Content
from casync.objects.tree import File, Folder, Meta
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.folder import FolderPrepared, LeftOut
from casync.ops.prepare.key_listing import KeyListing, list_objects
from casync.ops.prepare.object import NEVER_TOO_YOUNG
from casync.ops.prepare.publish_tree import publish_tree
from casync.ops.prepare.small_objects import FolderMarker, SmallObject, read_object
from casync.ops.prepare.tree_writer import FolderStream, TreeWriter
from casync.remote.buckets.base import Bucket, Listed
from casync.remote.buckets.source import BucketSource
from casync.store.base import ManifestState, ObjectStore

__all__ = ["prepare_prefix"]

_READERS: Final = 16
"""Small objects that are asked for at once."""

_AHEAD: Final = 64
"""Small objects whose bytes are in memory."""

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755


_Thing: TypeAlias = File | Future[SmallObject | FolderMarker] | None


class _Folder:
    """A folder whose entries are gathered. It is as old as the newest object in it."""

    def __init__(self, path: bytes, stream: FolderStream, parent: _Folder | None) -> None:
        self.path = path
        self.inside = path + b"/" if path else b""
        self.stream = stream
        self.parent = parent
        self.mtime_ns = 0


class _PendingEntry(NamedTuple):
    """Something on its way into a folder; None ends the folder."""

    folder: _Folder
    path: bytes
    listed: Listed | None
    thing: _Thing


def prepare_prefix(
    bucket: Bucket,
    prefix: str,
    store: ObjectStore,
    options: PrepareOptions,
    *,
    unwanted: Unwanted,
    scan_cache: ScanCache,
    progress: Progress = SILENT,
) -> FolderPrepared:
    """Puts all objects below a prefix into `store`.

    Args:
        bucket: Where they are.
        prefix: Ends at a slash; empty for the whole bucket.
        store: Where to put them.
        options: How.
        unwanted: What to leave out.
        scan_cache: Remembers them.
        progress: Is told of every byte.

    Raises:
        UsageError: A digest of a folder was asked for.
        NotFoundError: There is nothing below the prefix.
        PartialError: It cannot be listed at all, since a key is no path.
        NoSpaceError, WriteError: The store cannot take it.
        DeniedError, UnreachableError, RemoteError: As `Bucket`.
    """
    started = time.monotonic()
    if options.expect_sha256 is not None:
        raise UsageError("a folder has no SHA-256; --expect takes a file")
    address = f"{bucket.label}/{prefix}"
    with ExitStack() as stack:
        progress.start("listing", None)
        listing = stack.enter_context(KeyListing(prefix))
        list_objects(bucket, listing)
        if not listing:
            if listing.refused:
                raise PartialError(f"{address} cannot be prepared: {listing.refused[0].reason}")
            raise NotFoundError(f"there is no object below {address}")
        work = _Preparation(bucket, store, options, unwanted, progress)
        stack.callback(work.close)
        work.remember(f"{bucket.place}/{prefix}", scan_cache, stack)
        progress.start("reading", None)
        prepared = work.run(listing)
    return prepared._replace(seconds=time.monotonic() - started)


class _Preparation:
    """One walk through a listing."""

    def __init__(
        self,
        bucket: Bucket,
        store: ObjectStore,
        options: PrepareOptions,
        unwanted: Unwanted,
        progress: Progress,
    ) -> None:
        self._bucket = bucket
        self._unwanted = unwanted
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
        self._open: list[_Folder] = []
        self._root: Folder | None = None
        self._last: CachedScan | None = None
        self._new: ScanWriter | None = None
        self._left_out: list[LeftOut] = []
        self._files = self._folders = self._length = self._unchanged = 0

    def remember(self, place: str, scan_cache: ScanCache, stack: ExitStack) -> None:
        """Uses what is known of the prefix, and keeps what is seen of it now."""
        params = self._options.params
        last = None if self._options.reread else scan_cache.last(place, params)
        if last is not None:
            stack.enter_context(closing(last))
            row = self._store.manifest(last.manifest)
            if row is not None and row.state is ManifestState.FULL:
                self._last = last
        self._new = scan_cache.new(place, params, NEVER_TOO_YOUNG)
        stack.callback(self._new.drop)

    def close(self) -> None:
        """Ends the threads."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._writer.close()

    def run(self, listing: KeyListing) -> FolderPrepared:
        """Goes through the objects, and publishes the tree."""
        for path, reason in listing.refused:
            self._leave_out(path, f"it cannot be listed: {reason}")
        self._enter(b"")
        skipped = None
        end = (b"", Listed("", 0, "", 0))
        for (path, listed), (following, _) in pairwise(chain(listing, [end])):
            if not path or (skipped is not None and path.startswith(skipped)):
                continue
            skipped = self._go_to(path)
            if skipped is None and not self._unwanted(path, False):
                is_folder = following.startswith(path + b"/")
                self._object(path, listed, is_folder=is_folder, again=following == path)
        while self._open:
            self._leave()
        self._waiting.finish()
        return self._publish()

    def _go_to(self, path: bytes) -> bytes | None:
        """Opens the folders that lead to an object; or says below what all is left out."""
        while not path.startswith(self._open[-1].inside):
            self._leave()
        while b"/" in (rest := path[len(self._open[-1].inside) :]):
            folder = self._open[-1].inside + rest.partition(b"/")[0]
            if self._unwanted(folder, True):
                return folder + b"/"
            if len(self._open) >= MAX_TREE_DEPTH:
                self._leave_out(folder, f"more than {MAX_TREE_DEPTH} folders inside each other")
                return folder + b"/"
            self._enter(folder)
        return None

    def _enter(self, path: bytes) -> None:
        parent = self._open[-1] if self._open else None
        self._open.append(_Folder(path, FolderStream(self._tree_writer), parent))
        self._folders += 1

    def _leave(self) -> None:
        folder = self._open.pop()
        self._waiting.put(_PendingEntry(folder, folder.path, None, None))

    def _object(self, path: bytes, listed: Listed, *, is_folder: bool, again: bool) -> None:
        """Finds out what an object is, or has it read."""
        if again:
            return self._leave_out(path, "another key differs from it in a slash at the end only")
        if is_folder:
            # An empty one may be nothing but the mark of the folder; it has another key then.
            if listed.size or self._bucket.look(listed.key) is not None:
                self._leave_out(path, "its key is a folder, too")
            return None
        folder = self._open[-1]
        known = self._last.find(path, listed.identity) if self._last is not None else None
        if isinstance(known, File):
            self._unchanged += 1
            return self._waiting.put(_PendingEntry(folder, path, listed, known))
        if listed.size > SMALL_BYTES:
            self._waiting.finish()
            return self._large(folder, path, listed)
        reading = self._readers.submit(read_object, self._bucket, listed, self._options.params)
        return self._waiting.put(_PendingEntry(folder, path, listed, reading))

    def _large(self, folder: _Folder, path: bytes, listed: Listed) -> None:
        source = BucketSource(self._bucket, listed)
        for last_time in (False, True):
            try:
                content = self._tree_writer.take_large(source)
            except SourceChangedError as error:
                if last_time:
                    self._leave_out(path, error.message)
                else:
                    self._progress.note(f"{error.message}; reading it again")
            except DeniedError as error:
                return self._leave_out(path, error.message)
            else:
                file = _file(path, source.listed, content)
                return self._take(_PendingEntry(folder, path, source.listed, file))
        return None

    def _take(self, waiting: _PendingEntry) -> None:
        """Puts the next thing into its folder."""
        folder, path, listed, thing = waiting
        if listed is None:
            return self._end(folder)
        if isinstance(thing, Future):
            try:
                read = thing.result()
            except NotFoundError:
                return self._leave_out(path, "it is gone, or its key ends at a slash")
            except (SourceChangedError, DeniedError) as error:
                return self._leave_out(path, error.message)
            if isinstance(read, FolderMarker):
                if self._unwanted(path, True):
                    return None
                self._folders += 1
                return self._end(_Folder(path, FolderStream(self._tree_writer), folder))
            listed = read.listed
            self._progress.advance(listed.size)
            thing = _file(path, listed, self._tree_writer.take(read.chunks))
        assert thing is not None
        try:
            folder.stream.add(thing)
        except MalformedError as error:
            return self._leave_out(path, error.message)
        folder.mtime_ns = max(folder.mtime_ns, listed.mtime_ns)
        self._files += 1
        self._length += listed.size
        if self._new is not None:
            self._new.add(path, listed.identity, thing)
        return None

    def _end(self, folder: _Folder) -> None:
        entry = Folder(
            folder.path.rpartition(b"/")[2],
            _meta(_FOLDER_MODE, folder.mtime_ns),
            folder.stream.finish(),
        )
        if folder.parent is None:
            self._root = entry
            return
        folder.parent.mtime_ns = max(folder.parent.mtime_ns, folder.mtime_ns)
        try:
            folder.parent.stream.add(entry)
        except MalformedError as error:
            self._leave_out(folder.path, error.message)

    def _leave_out(self, path: bytes, reason: str) -> None:
        self._left_out.append(LeftOut(path, reason))
        self._progress.note(f"left out {path.decode()}: {reason}")

    def _publish(self) -> FolderPrepared:
        assert self._root is not None
        relied = self._last.manifest if self._last is not None else None
        ident, record = publish_tree(
            self._root, self._tree_writer, self._writer, self._options, relied
        )
        if self._new is not None:
            self._new.keep(ident)
        return FolderPrepared(
            manifest=ident,
            files=self._files,
            folders=self._folders,
            others=0,
            length=self._length,
            unchanged=self._unchanged,
            chunks=self._tree_writer.chunks,
            new=self._tree_writer.new,
            stored=self._writer.stored,
            left_out=self._left_out,
            sockets=0,
            name=record,
            seconds=0.0,
        )


def _file(path: bytes, listed: Listed, content: Content) -> File:
    return File(path.rpartition(b"/")[2], _meta(_FILE_MODE, listed.mtime_ns), None, content)


def _meta(mode: int, mtime_ns: int) -> Meta:
    """What every entry has. Buckets know no owners."""
    return Meta(mode, mtime_ns, 0, 0, "", "", ())
