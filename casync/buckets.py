"""Wires buckets to prepare: apart from `api`, so that only who wants it loads their library."""

from __future__ import annotations

import re
from collections.abc import Sequence

from casync.access.progress import SILENT, Progress
from casync.errors import NotFoundError, UsageError
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.object import prepare_object
from casync.ops.prepare.prefix import prepare_prefix
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.remote.buckets.s3 import S3Bucket, S3Options
from casync.store.lmdb.store import LmdbStore

__all__ = ["prepare_s3"]

_ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{0,254})(?:/(.*))?", re.DOTALL)


def prepare_s3(
    address: str,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    s3: S3Options = S3Options(),
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Puts an object of a bucket into `store`, or all objects below a prefix as a tree.

    Args:
        address: `s3://BUCKET/KEY` for the object with this key, if there is one; else, and with
            a slash at the end, for what lies below it.
        store: Where to put it.
        options: How.
        exclude: What to leave out, in the syntax of .gitignore.
        exclude_regex: The same as regular expressions on paths below the prefix.
        s3: How to reach the bucket.
        progress: Is told of every byte.

    Raises:
        UsageError: It is no such address.
        NotFoundError: Nothing is there.
        CasyncError: As `prepare_object` and `prepare_prefix`.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address} is no bucket", next_step="Write s3://BUCKET/PREFIX.")
    key = match[2] or ""
    bucket = S3Bucket(match[1], s3)
    scan_cache = ScanCache(store.path / "folders")
    if key and not key.endswith("/"):
        listed = bucket.look(key)
        if listed is not None:
            if exclude or exclude_regex:
                raise UsageError(
                    "only a folder has something to leave out", next_step=f"Write {address}/."
                )
            return prepare_object(
                bucket, listed, store, options, scan_cache=scan_cache, progress=progress
            )
        key += "/"
    try:
        return prepare_prefix(
            bucket,
            key,
            store,
            options,
            unwanted=Exclusion(exclude, exclude_regex),
            scan_cache=scan_cache,
            progress=progress,
        )
    except NotFoundError as error:
        raise NotFoundError(error.message, next_step="Look at the bucket and the key.") from error
