"""Prepares objects of buckets: the part of `api` for buckets."""

from __future__ import annotations

from collections.abc import Sequence

from casync.access.progress import SILENT, Progress
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.ops.prepare.bucket import prepare_bucket
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.remote.buckets.base import BucketOptions
from casync.remote.buckets.open import open_bucket
from casync.store.lmdb.store import LmdbStore

__all__ = ["prepare_s3"]


def prepare_s3(
    address: str,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    access: BucketOptions = BucketOptions(),
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Puts an object of a bucket into `store`, or all objects below a prefix as a tree.

    Args:
        address: `s3://BUCKET/KEY` for the object with this key, if there is one; otherwise, and
            with a slash at the end, for everything below it.
        store: The store.
        options: How to prepare.
        exclude: Patterns of what to leave out, in the syntax of .gitignore.
        exclude_regex: Regular expressions on paths below the prefix, with the same effect.
        access: How to reach the bucket.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `open_bucket` and `prepare_bucket`.
    """
    bucket, key = open_bucket(address, access)
    return prepare_bucket(
        bucket,
        key,
        store,
        options,
        excluded=Exclusion(exclude, exclude_regex),
        scan_cache=ScanCache(store.path / "folders"),
        progress=progress,
    )
