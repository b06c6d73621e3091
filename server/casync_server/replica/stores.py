"""The stores of a replica: one in a bucket, and one for each namespace, in a prefix below it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from casync.bucket_stores import namespace_address, open_bucket_store, tables_folder
from casync.errors import DeniedError, NoStoreError, NotFoundError, UnreachableError
from casync.remote.sources.options import SourceOptions
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.tokens import known_tokens
from casync_server.options import ServedBucket, ServeOptions
from casync_server.replica.outages import ServedStorage
from casync_server.settings import ServerSettings

__all__ = ["BucketStores"]

_CLIENT_SECONDS: Final = 2.0
"""Retry time for the bucket, while a client waits in one of few threads, and may ask again."""

_WORK_SECONDS: Final = 60.0
"""Retry time for jobs and collections."""

_ANSWER_SECONDS: Final = 15.0


class BucketStores:
    """See `ServedStores`.

    Args:
        options: The options of the server.
        bucket: Its bucket.
        settings: Its limits.
    """

    shared = True

    def __init__(
        self, options: ServeOptions, bucket: ServedBucket, settings: ServerSettings
    ) -> None:
        self._tokens = options.tokens
        self._keeps = options.writable or options.jobs
        self._creates = options.create or self._keeps
        self._bucket = bucket
        self._settings = settings

    def folder(self, namespace: str) -> Path:
        """See `ServedStores`: the tables of the namespace."""
        bucket = self._bucket
        return tables_folder(self.place(namespace), bucket.home, _reach(bucket, _CLIENT_SECONDS))

    def place(self, namespace: str) -> str:
        """See `ServedStores`."""
        return namespace_address(self._bucket.address, namespace)

    def namespaces(self) -> Iterator[str]:
        """See `ServedStores`: those that tokens open."""
        if self._tokens is not None:
            rows = known_tokens(self._tokens).rows.values()
            yield from sorted({row.namespace for row in rows} - {""})

    def open_default(self, *, is_first: bool) -> BucketStore:
        """Opens the default store, for a worker.

        Its tables are not brought to the head, which takes minutes for a large one.

        Args:
            is_first: It may be created, if the options say so.

        Raises:
            CasyncError: As `open_bucket_store`.
        """
        try:
            return self._served("", create=is_first and self._creates, read_only=not self._keeps)
        except UnreachableError as error:
            refusal = error.__cause__  # there are no clients yet that it would mislead
            if isinstance(refusal, DeniedError | NotFoundError):
                raise refusal from None
            raise

    def open_for_clients(self, namespace: str, *, read_only: bool) -> BucketStore:
        """See `ServedStores`. The tables are not brought to the head."""
        try:
            return self._served(namespace, create=False, read_only=read_only)
        except NoStoreError as error:
            raise self._missing(namespace) from error

    def open_for_work(self, namespace: str) -> BucketStore:
        """See `ServedStores`."""
        try:
            return open_bucket_store(
                self.place(namespace),
                self._bucket.home,
                key_folder=self._tokens,
                lease_seconds=self._settings.lease_seconds,
                probed=self.folder(""),
                options=_reach(self._bucket, _WORK_SECONDS),
            )
        except NoStoreError as error:
            raise (self._missing(namespace) if namespace else error) from error

    def _served(self, namespace: str, *, create: bool, read_only: bool) -> BucketStore:
        return open_bucket_store(
            self.place(namespace),
            self._bucket.home,
            create=create,
            read_only=read_only,
            sync=False,
            cache_bytes=self._settings.bucket_cache,
            key_folder=self._tokens,
            lease_seconds=self._settings.lease_seconds,
            probed=self.folder(""),
            around=ServedStorage,
            options=_reach(self._bucket, _CLIENT_SECONDS),
        )

    def _missing(self, namespace: str) -> NoStoreError:
        return NoStoreError(
            f"no namespace {namespace} in {self._bucket.address}",
            next_step=f"`casync token new --namespace {namespace}`, with the bucket as --store and "
            "with --tokens, makes it.",
        )


def _reach(bucket: ServedBucket, retry_for: float) -> SourceOptions:
    """How a bucket is reached."""
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
        retry_for=retry_for,
    )
