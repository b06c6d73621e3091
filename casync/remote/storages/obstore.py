"""A prefix of a bucket as a storage: S3 (AWS, Ceph, versitygw, SeaweedFS), Google and Azure.

Buckets are opened, and requests tried again, as those of sources are. A conditional write that was
tried again may be refused although the first try was carried out.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError

from casync.bucket.keys import HEAD_KEY, LEASES, MAPS, NAMES
from casync.bucket.spans import JoinedRange
from casync.bucket.storage import ListedKey, StoredObject, Tag, TagForm, check_key
from casync.errors import (
    NotFoundError,
    StoppedError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from casync.jobs.address import redacted
from casync.limits import MIB
from casync.remote.sources.obstore_errors import asking, is_about_the_bucket, status_of
from casync.remote.sources.obstore_retries import PatientCalls
from casync.remote.sources.obstore_stores import Cloud, make_store, server_of, split_address
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.joined_ranges import GAP_BYTES, join_ranges, take_ranges

if TYPE_CHECKING:
    from obstore import GetResult, PutMode, PutResult, UpdateVersion
    from obstore.store import ObjectStore

__all__ = ["ObstoreStorage", "open_bucket"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT_BYTES: Final = MIB
"""Bytes of an upload for which the time limit of an answer suffices."""

_UPLOAD_SECONDS: Final = 600.0
"""Time limit of larger ones: it counts from the first byte that is sent, also while more are."""

_PART_BYTES: Final = 16 * MIB
_PARTS: Final = 4
"""Parts of a large file that are sent at once."""

_SINGLE_BYTES: Final = 64 * MIB
"""Bytes of a file that is sent as one."""

_DELETED_AT_ONCE: Final = 1000
_READ_TRIES: Final = 3
_PAUSE_SECONDS: Final = (0.05, 1.0)
"""The first and the longest pause before a write is tried again."""

_NO_CONDITIONS: Final = frozenset({405, 501})
_NO_RANGE: Final = "ParseContentRange"
"""In an error about a part of an empty object, which Azurite answers with `bytes 0--1/0`."""

_IMMUTABLE: Final = "max-age=31536000, immutable"
_CHANGING: Final = "no-cache"
"""Cache-Control, for caches in front of a bucket that is read as a website."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9_~=+@,:! -][A-Za-z0-9._~=+@,:! -]*")
"""A part of a prefix: characters that every cloud, and the library, take as they are."""

_PREFIX_BYTES: Final = 512


def open_bucket(address: str, options: SourceOptions) -> ObstoreStorage:
    """Opens `SCHEME://BUCKET/PREFIX`. See `casync.remote.storages.open`."""
    if re.search("[?#]", address):
        shown = re.split("[?#]", redacted(address), maxsplit=1)[0]
        raise UsageError(
            f"{shown} is followed by a query, which addresses of buckets do not have",
            next_step="Put keys and SAS tokens into the variables of the cloud.",
        )
    cloud, bucket, prefix = split_address(address)
    prefix = prefix.rstrip("/")
    parts = prefix.split("/") if prefix else []
    if len(prefix) > _PREFIX_BYTES or not all(map(_PREFIX.fullmatch, parts)):
        raise UsageError(
            f"{redacted(address)} has a prefix that not every storage takes",
            next_step="Use letters, digits, and no empty parts: s3://BUCKET/casync.",
        )
    return ObstoreStorage(cloud, bucket, prefix, options)


class ObstoreStorage:
    """The keys of a bucket below a prefix. See `ObjectStorage`.

    Args:
        cloud: Its cloud.
        bucket: Its name.
        prefix: The prefix, without a slash at its ends; empty for the whole bucket.
        options: How to reach it.

    Raises:
        UsageError: The endpoint is not a URL, or the file has no certificates.
        CasyncError: The certificates cannot be read.
    """

    def __init__(
        self, cloud: Cloud, bucket: str, prefix: str, options: SourceOptions = SourceOptions()
    ) -> None:
        self._label = f"{cloud.scheme}://{bucket}"
        self._prefix = f"{prefix}/" if prefix else ""
        server = server_of(cloud, options) or cloud.name
        self._place = f"{self._label}/{prefix} at {server}"
        self._cloud = cloud
        self._retry_for = options.retry_for
        self._form = TagForm.QUOTED
        self._closed = threading.Event()
        self._calls = PatientCalls(self._label, cloud, options)
        with self._asking("", "open"):
            brief = min(options.timeout, options.retry_for or options.timeout)
            self._store = make_store(cloud, bucket, replace(options, timeout=brief))
            patient = replace(options, timeout=max(options.timeout, _UPLOAD_SECONDS))
            self._uploads = make_store(cloud, bucket, patient)

    @property
    def place(self) -> str:
        """See `ObjectStorage`."""
        return self._place

    def using(self, form: TagForm) -> Self:
        """See `ObjectStorage`."""
        other = copy(self)
        other._form = form
        return other

    def get(self, key: str) -> StoredObject | None:
        """See `ObjectStorage`."""
        path = self._path(key)
        with self._asking(key):
            for left in reversed(range(_READ_TRIES)):
                try:
                    found, data = self._calls.wait(lambda: _read_whole(self._store, path))
                except FileNotFoundError as error:
                    if is_about_the_bucket(error):
                        raise
                    return None
                except PreconditionError:  # replaced while it was read
                    if not left:
                        raise
                else:
                    return StoredObject(data, _tag(found.meta["e_tag"], found.meta["version"]))
        raise AssertionError

    def tag(self, key: str) -> Tag | None:
        """See `ObjectStorage`."""
        path = self._path(key)
        with self._asking(key):
            try:
                found = self._calls.wait(lambda: obstore.head(self._store, path))
            except FileNotFoundError as error:
                if is_about_the_bucket(error):
                    raise
                return None
        return _tag(found["e_tag"], found["version"])

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See `ObjectStorage`."""
        path = self._path(key)
        joined = join_ranges(ranges)
        with self._asking(key):
            try:
                data = self._read(path, joined)
            except FileNotFoundError as error:
                if is_about_the_bucket(error):
                    raise
                return None
        return take_ranges(ranges, joined, data)

    def _read(self, path: str, joined: Sequence[JoinedRange]) -> list[bytes]:
        """The bytes of ranges that are too far apart for the library to join them."""
        try:
            return self._read_inside(path, joined)
        except GenericError as error:
            if status_of(error) != 416 and _NO_RANGE not in str(error):
                raise
        size = self._calls.wait(lambda: obstore.head(self._store, path))["size"]
        inside = [
            JoinedRange(each.start, min(each.end, size)) for each in joined if each.start < size
        ]
        data = self._read_inside(path, inside)
        return data + [b""] * (len(joined) - len(inside))

    def _read_inside(self, path: str, joined: Sequence[JoinedRange]) -> list[bytes]:
        if not joined:
            return []
        starts, ends = [each.start for each in joined], [each.end for each in joined]
        found = self._calls.wait(
            lambda: obstore.get_ranges(
                self._store, path, starts=starts, ends=ends, coalesce=GAP_BYTES
            )
        )
        return [each.to_bytes() for each in found]

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """See `ObjectStorage`."""
        path = self._path(key)
        if not isinstance(data, bytes):
            size = data.seek(0, os.SEEK_END)
            data.seek(0)
            if size > _SINGLE_BYTES:
                file = Path(f"/dev/fd/{data.fileno()}")  # read without Python, which may be gone
                with self._asking(key, "write"):
                    self._calls.wait(
                        lambda: obstore.put(
                            self._uploads,
                            path,
                            file,
                            attributes={"Cache-Control": _caching(key)},
                            use_multipart=True,
                            chunk_size=_PART_BYTES,
                            max_concurrency=_PARTS,
                        )
                    )
                return
            data = data.read()
        with self._asking(key, "write"):
            self._put(key, data, "overwrite")

    def create(self, key: str, data: bytes) -> bool:
        """See `ObjectStorage`."""
        self._path(key)
        with self._asking(key, "write"):
            for pause in self._pauses():
                try:
                    self._put(key, data, "create")
                except AlreadyExistsError as error:
                    if not self._is_conflict(error):
                        return False
                    self._pause(pause)
                else:
                    return True
        raise self._conflict(key)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        """See `ObjectStorage`."""
        self._path(key)
        with self._asking(key, "write"):
            for pause in self._pauses():
                try:
                    done = self._put(key, data, _condition(tag, self._form))
                except PreconditionError:
                    return None
                except FileNotFoundError as error:
                    if is_about_the_bucket(error):
                        raise
                    return None
                except AlreadyExistsError:
                    self._pause(pause)
                else:
                    return _tag(done["e_tag"], done["version"])
        raise self._conflict(key)

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        """See `ObjectStorage`."""
        self._check_open()
        folder = f"{self._prefix}{prefix}".rpartition("/")[0]  # the library lists no other prefixes
        with self._asking(prefix, "list"):
            for meta in chain.from_iterable(self._calls.list(self._store, folder or None)):
                key = meta["path"].removeprefix(self._prefix)
                if meta["path"].startswith(f"{self._prefix}{prefix}") and key:
                    modified = (meta["last_modified"] - _EPOCH).total_seconds()
                    yield ListedKey(key, meta["size"], modified)

    def delete(self, keys: Sequence[str]) -> None:
        """See `ObjectStorage`."""
        paths = [self._path(key) for key in keys]
        for at in range(0, len(paths), _DELETED_AT_ONCE):
            batch = paths[at : at + _DELETED_AT_ONCE]
            try:
                with self._asking(keys[at], "delete"):
                    self._calls.wait(partial(obstore.delete, self._store, batch))
            except NotFoundError:
                self._delete_each(keys[at : at + _DELETED_AT_ONCE], batch)

    def _delete_each(self, keys: Sequence[str], paths: Sequence[str]) -> None:
        """Deletes objects of which some are missing, where that ends deleting them together."""
        for key, path in zip(keys, paths, strict=True):
            self._check_open()
            with self._asking(key, "delete"):
                try:
                    self._calls.wait(partial(obstore.delete, self._store, path))
                except FileNotFoundError as error:
                    if is_about_the_bucket(error):
                        raise

    def close(self) -> None:
        """See `ObjectStorage`: obstore closes connections that are not used."""
        self._closed.set()
        self._calls.close()

    def _put(self, key: str, data: bytes, mode: PutMode) -> PutResult:
        """Writes an object with one request, which conditions protect.

        Raises:
            UnsupportedError: The server does not know conditions.
            Exception: What obstore raises.
        """
        try:
            return self._calls.wait(
                lambda: obstore.put(
                    self._store if len(data) <= _SHORT_BYTES else self._uploads,
                    f"{self._prefix}{key}",
                    data,
                    attributes={"Cache-Control": _caching(key)},
                    mode=mode,
                    use_multipart=False,
                )
            )
        except BaseError as error:
            if mode == "overwrite" or status_of(error) not in _NO_CONDITIONS:
                raise
            raise UnsupportedError(
                f"{self._place} does not support conditional writes: it answers {status_of(error)}"
            ) from error

    def _path(self, key: str) -> str:
        """The key in the bucket; the storage must be open."""
        self._check_open()
        check_key(key)
        return f"{self._prefix}{key}"

    def _asking(self, key: str, verb: str = "read") -> AbstractContextManager[None]:
        label = f"{self._label}/{self._prefix}{key}"
        return asking(label, self._label, self._cloud, verb)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise StoppedError(f"{self._place} is closed")

    def _is_conflict(self, error: Exception) -> bool:
        """Whether a create met another write of the key, whose outcome is still open.

        Azure says the same of an object that exists.
        """
        return status_of(error) == 409 and self._cloud.scheme != "az"

    def _conflict(self, key: str) -> UnreachableError:
        return UnreachableError(
            f"cannot write {self._label}/{self._prefix}{key}: other writes of it never ended",
            next_step="Run the same command again.",
        )

    def _pauses(self) -> Iterator[float]:
        """Pauses after failed tries, for as long as requests are tried again."""
        pause, longest = _PAUSE_SECONDS
        deadline = time.monotonic() + self._retry_for
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311
            pause = min(2 * pause, longest)
            if time.monotonic() >= deadline:
                return

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)
        self._check_open()


def _read_whole(store: ObjectStore, path: str) -> tuple[GetResult, bytes]:
    found = obstore.get(store, path)
    return found, found.bytes().to_bytes()


def _tag(etag: str | None, version: str | None) -> Tag:
    return Tag(f"{etag or ''}\n{version or ''}")


def _condition(tag: Tag, form: TagForm) -> UpdateVersion:
    etag, _, version = tag.partition("\n")
    bare = etag.strip('"')
    found: UpdateVersion = {"e_tag": bare if form is TagForm.BARE else f'"{bare}"'}
    if version:
        found["version"] = version
    return found


def _caching(key: str) -> str:
    return _CHANGING if key == HEAD_KEY or key.startswith((LEASES, MAPS, NAMES)) else _IMMUTABLE
