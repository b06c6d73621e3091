"""Opens the store of a replica, in a worker."""

from __future__ import annotations

from typing import Final

from casync.bucket_stores import open_bucket_store
from casync.remote.sources.options import SourceOptions
from casync.store.bucket.store import BucketStore
from casync_server.options import ServedBucket, ServeOptions
from casync_server.replica.outages import ServedStorage

__all__ = ["open_replica", "source_options"]

_RETRY_SECONDS: Final = 2.0
"""Retry time for the bucket, while a client waits in one of few threads, and may ask again."""

_ANSWER_SECONDS: Final = 15.0


def source_options(bucket: ServedBucket) -> SourceOptions:
    """How a worker reaches a bucket."""
    return SourceOptions(
        s3_endpoint=bucket.s3_endpoint,
        s3_ca=bucket.s3_ca,
        s3=bucket.s3,
        gs_endpoint=bucket.gs_endpoint,
        az_endpoint=bucket.az_endpoint,
        az=bucket.az,
        ca=bucket.ca,
        proxy=bucket.proxy,
        proxy_auth=bucket.proxy_auth,
        timeout=_ANSWER_SECONDS,
        retry_for=_RETRY_SECONDS,
    )


def open_replica(
    options: ServeOptions, bucket: ServedBucket, *, cache_bytes: int, is_first: bool
) -> BucketStore:
    """Opens the store without bringing its tables to the head, which takes minutes for a large one.

    Args:
        options: The options.
        bucket: Its bucket.
        cache_bytes: Bytes of chunks to keep in memory.
        is_first: It may be created, if the options say so.

    Raises:
        CasyncError: As `open_bucket_store`.
    """
    return open_bucket_store(
        bucket.address,
        bucket.home,
        create=is_first and (options.create or options.writable),
        read_only=not options.writable,
        sync=False,
        cache_bytes=cache_bytes,
        around=ServedStorage,
        options=source_options(bucket),
    )
