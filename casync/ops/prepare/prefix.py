"""Prepares all objects of a source below a prefix as a tree.

Keys become paths. Keys that cannot be paths are left out and reported: a key with bytes that ends
with a slash, one that is also a folder of others, a name that is too long. An object with the same
ETag, size and time as in the last run is not read again; where a listing does not say these, each
object is asked for.
"""

from __future__ import annotations

from functools import partial
from itertools import chain, pairwise
from typing import Final

from casync.access.progress import SILENT, Progress
from casync.cutting.small import SMALL_BYTES, cut_small
from casync.errors import NotFoundError, PartialError, SourceChangedError
from casync.fs.scan import Excluded
from casync.fs.scan_cache import NEVER_TOO_YOUNG, ScanCache
from casync.fs.target.staging import STAGING
from casync.objects.node import EMPTY
from casync.objects.tree import File, Folder
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.key_listing import KeyListing, list_objects
from casync.ops.prepare.open_folders import STAGING_REASON, OpenFolders
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.tree_builder import (
    FOLDER_MODE,
    KnownEntry,
    Outcome,
    ReadFile,
    TreeBuilder,
    name_of,
    plain_meta,
)
from casync.remote.sources.base import Listed, RemoteSource
from casync.remote.sources.described import described
from casync.remote.sources.remote_object import RemoteObject, read_whole
from casync.store.base import ObjectStore

__all__ = ["prepare_prefix"]

_READERS: Final = 16
"""Small objects that are requested concurrently."""

_FILE_MODE: Final = 0o644


def prepare_prefix(
    source: RemoteSource,
    prefix: str,
    store: ObjectStore,
    options: PrepareOptions,
    *,
    excluded: Excluded,
    scan_cache: ScanCache,
    progress: Progress = SILENT,
) -> FolderPrepared:
    """Puts all objects below a prefix into `store`.

    Args:
        source: The source.
        prefix: The prefix, which ends with a slash; empty for all of the source.
        store: The store.
        options: How to prepare.
        excluded: Selects paths to leave out.
        scan_cache: Remembers objects.
        progress: Advances by every byte.

    Raises:
        UsageError: The options expect a SHA-256, which a folder does not have.
        NotFoundError: There is nothing below the prefix.
        PartialError: Nothing can be listed, because a key is not a path.
        NoSpaceError, WriteError: The store cannot be written.
        DeniedError, UnreachableError, RemoteError: As `RemoteSource`.
    """
    address = f"{source.label}/{prefix}"
    with (
        TreeBuilder(address, store, options, progress, readers=_READERS) as builder,
        KeyListing(prefix) as listing,
    ):
        progress.start("listing", None)
        list_objects(source, listing)
        if not listing:
            if listing.refused:
                raise PartialError(f"{address} cannot be prepared: {listing.refused[0].reason}")
            raise NotFoundError(f"there is no object below {address}")
        builder.remember(scan_cache, f"{source.place}/{prefix}", NEVER_TOO_YOUNG)
        progress.start("reading", None)
        for path, reason in listing.refused:
            builder.leave_out(path, f"it cannot be listed: {reason}")
        _KeyWalk(source, excluded, builder).run(listing)
        return builder.finish()


class _KeyWalk:
    """Tells a builder of objects as of files in folders."""

    def __init__(self, source: RemoteSource, excluded: Excluded, builder: TreeBuilder) -> None:
        self._source = source
        self._excluded = excluded
        self._builder = builder
        self._folders = OpenFolders(builder, excluded)

    def run(self, listing: KeyListing) -> None:
        """Goes through the objects."""
        end = (b"", Listed("", 0))
        found = described(self._source, listing, self._asks, self._builder.readers)
        for (path, listed), (following, _) in pairwise(chain(found, [end])):
            if path and self._folders.go_to(path) and not self._excluded(path, False):
                is_folder = following.startswith(path + b"/")
                self._object(path, listed, is_folder=is_folder, again=following == path)
        self._folders.finish()

    def _asks(self, path: bytes, listed: Listed) -> bool:
        """Whether an object must be asked for: its size, or what may prove it unchanged."""
        known = listed.size is not None and (listed.token or not self._builder.remembers)
        return not known and not self._excluded(path, False)

    def _object(self, path: bytes, listed: Listed, *, is_folder: bool, again: bool) -> None:
        """Finds out what an object is, or has it read."""
        builder = self._builder
        if name_of(path) == STAGING:
            return builder.leave_out(path, STAGING_REASON)
        if again:
            reason = "another key differs from it in a slash at the end only"
            return builder.leave_out(path, reason)
        if is_folder:
            # An empty one may be nothing but the mark of the folder; it has another key then.
            if listed.size or self._source.find(listed.key) is not None:
                builder.leave_out(path, "its key is a folder, too")
            return None
        known = builder.find(path, listed.identity)
        if known is not None:
            return builder.put(path, KnownEntry(known, listed.identity))
        if listed.size is None or listed.size > SMALL_BYTES:
            large = RemoteObject(self._source, listed)
            return builder.put_large(path, partial(self._large, path, large))
        return builder.put(path, builder.readers.submit(self._small, path, listed))

    def _large(self, path: bytes, large: RemoteObject) -> KnownEntry:
        content = self._builder.tree_writer.take_large(large)
        meta = plain_meta(_FILE_MODE, large.listed.mtime_ns)
        return KnownEntry(File(name_of(path), meta, None, content), large.listed.identity)

    def _small(self, path: bytes, listed: Listed) -> Outcome:
        """Reads and cuts a small object; retries once if it changes. Safe in any thread.

        Raises:
            SourceChangedError: It changed again, is small no more, or is gone.
            CasyncError: As `RemoteSource.open`.
        """
        try:
            try:
                return self._read(path, listed)
            except SourceChangedError:
                found = self._source.find(listed.key)
                if found is None:
                    raise
                return self._read(path, found)
        except NotFoundError as error:
            raise SourceChangedError("it is gone, or its key ends at a slash") from error

    def _read(self, path: bytes, listed: Listed) -> Outcome:
        if not listed.size:
            found = self._source.find(listed.key)
            if found is None:
                return self._marked(path)
            listed = found
        if (listed.size or 0) > 2 * SMALL_BYTES:
            raise SourceChangedError(f"{listed.key} grew while it was read")
        data = b""
        if listed.size:
            data, listed = read_whole(self._source, listed.key, 2 * SMALL_BYTES)
        meta = plain_meta(_FILE_MODE, listed.mtime_ns)
        return ReadFile(meta, cut_small(data, self._builder.params), listed.identity)

    def _marked(self, path: bytes) -> KnownEntry | None:
        """The empty folder that an empty object stands for, whose key ends at a slash."""
        if self._excluded(path, True):
            return None
        return KnownEntry(Folder(name_of(path), plain_meta(FOLDER_MODE, 0), EMPTY))
