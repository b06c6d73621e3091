"""Prepares from a source: one object as a file, or all objects below a prefix as a tree."""

from __future__ import annotations

from casync.access.progress import SILENT, Progress
from casync.errors import NotFoundError, UsageError
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.local_first import LocalFirst
from casync.ops.prepare.object import prepare_object
from casync.ops.prepare.prefix import prepare_prefix
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.remote.sources.base import RemoteSource
from casync.store.base import ObjectStore

__all__ = ["prepare_address"]


def prepare_address(
    source: RemoteSource,
    key: str,
    store: ObjectStore,
    options: PrepareOptions,
    *,
    excluded: Exclusion,
    scan_cache: ScanCache,
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Puts an object into `store`, or all objects below a prefix as a tree.

    Args:
        source: The source.
        key: The key of an object; without such an object, or with a slash at the end, a prefix.
        store: The store.
        options: How to prepare.
        excluded: Selects paths to leave out.
        scan_cache: Remembers objects.
        progress: Advances by every byte.

    Raises:
        UsageError: There are paths to leave out, but `key` is one object.
        NotFoundError: There is nothing at the key.
        CasyncError: As `prepare_object` and `prepare_prefix`.
    """
    source = LocalFirst(source, store)
    if key and not key.endswith("/"):
        listed = source.find(key)
        if listed is not None:
            if excluded:
                raise UsageError(
                    f"{source.label}/{key} is one object; only a prefix can leave out paths",
                    next_step=f"Write {source.label}/{key}/.",
                )
            return prepare_object(
                source, listed, store, options, scan_cache=scan_cache, progress=progress
            )
        key += "/"
    try:
        return prepare_prefix(
            source, key, store, options, excluded=excluded, scan_cache=scan_cache, progress=progress
        )
    except NotFoundError as error:
        raise NotFoundError(error.message, next_step="Check the address.") from error
