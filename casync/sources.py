"""Prepares from addresses: the part of `api` for remote sources."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from casync.access.progress import SILENT, Progress
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.ops.prepare.address import prepare_address
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.remote.sources.base import SourceOptions
from casync.remote.sources.open import open_source
from casync.store.lmdb.store import LmdbStore

__all__ = ["prepare_url"]


def prepare_url(
    address: str,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    access: SourceOptions = SourceOptions(),
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Puts an object of a source into `store`, or all objects below a prefix as a tree.

    Args:
        address: Such as `s3://BUCKET/KEY`: the object with this key, if there is one; otherwise,
            and with a slash at the end, everything below it.
        store: The store.
        options: How to prepare.
        exclude: Patterns of what to leave out, in the syntax of .gitignore.
        exclude_regex: Regular expressions on paths below the prefix, with the same effect.
        access: How to reach the source.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `open_source` and `prepare_address`.
    """
    source, key = open_source(address, access)
    with closing(source):
        return prepare_address(
            source,
            key,
            store,
            options,
            excluded=Exclusion(exclude, exclude_regex),
            scan_cache=ScanCache(store.path / "folders"),
            progress=progress,
        )
