"""Buckets of S3 (AWS, Ceph, MinIO, Swift), Google and Azure, through obstore.

The library has two limits: it fails to list keys that are not paths (with an empty part, `.`, `..`
or a control character), and it lists the key `a/` as `a`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import obstore
from obstore.exceptions import BaseError, GenericError, NotModifiedError, PreconditionError

from casync.errors import NotFoundError, UnreachableError, UsageError
from casync.ids import Buffer
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.remote.sources.base import Listed, ListedFolder, ObjectAnswer, failed
from casync.remote.sources.obstore_errors import asking, status_of
from casync.remote.sources.obstore_retries import PatientCalls
from casync.remote.sources.obstore_stores import Cloud, make_store, server_of, split_address
from casync.remote.sources.options import SourceOptions

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

__all__ = ["BucketOpener", "ObstoreBucket"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000
_BLOCK_BYTES: Final = MIB
"""Bytes of a block of an answer."""

_NO_HEAD: Final = frozenset({405, 501})
"""Statuses of servers that do not answer HEAD."""


class _Opened(NamedTuple):
    """An answer.

    Attributes:
        listed: The object.
        start: Offset of its first byte.
        end: Offset after its last byte.
        first: Its first block, or why that could not be read.
        blocks: The others.
    """

    listed: Listed
    start: int
    end: int
    first: bytes | Exception
    blocks: Iterator[Buffer]


class BucketOpener:
    """Opens addresses of buckets. Those of one bucket share it."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], ObstoreBucket] = {}

    def open(self, address: str) -> tuple[ObstoreBucket, str]:
        """The bucket and the key of an address. See `casync.remote.sources.open`."""
        cloud, name, key = split_address(address)
        with self._lock:
            found = self._buckets.get((cloud.scheme, name))
            if found is None:
                found = ObstoreBucket(cloud, name, self._options)
                self._buckets[cloud.scheme, name] = found
        return found, key

    def close(self) -> None:
        """Closes all buckets."""
        with self._lock:
            buckets = [*self._buckets.values()]
        for bucket in buckets:
            bucket.close()


class ObstoreBucket:
    """One bucket. See `RemoteSource`.

    Args:
        cloud: Its cloud.
        name: Its name.
        options: How to reach it.

    Raises:
        UsageError: The endpoint is not a URL, or the file has no certificates.
        CasyncError: The certificates cannot be read.
    """

    def __init__(self, cloud: Cloud, name: str, options: SourceOptions) -> None:
        self.label = f"{cloud.scheme}://{name}"
        self.place = f"{self.label} at {server_of(cloud, options) or cloud.name}"
        self._cloud = cloud
        self._calls = PatientCalls(self.label, cloud, options)
        with self._asking(self.label):
            self._store = make_store(cloud, name, options)

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        self._check(key)
        try:
            with self._asking(f"{self.label}/{key}"):
                try:
                    head = self._calls.wait(lambda: obstore.head(self._store, key))
                    return _listed(head)
                except BaseError as error:
                    if status_of(error) not in _NO_HEAD:
                        raise
                found = self._calls.wait(lambda: obstore.get(self._store, key))
                return _listed(found.meta)
        except NotFoundError:
            return None

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        with self._asking(f"{self.label}/{prefix}"):
            for page in self._calls.list(self._store, prefix or None):
                yield from map(_listed, page)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        with self._asking(f"{self.label}/{prefix}"):
            found = self._calls.wait(
                lambda: obstore.list_with_delimiter(self._store, prefix or None)
            )
        prefixes = [f"{path.rstrip('/')}/" for path in found["common_prefixes"]]
        return ListedFolder([_listed(meta) for meta in found["objects"]], prefixes)

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """See `RemoteSource`."""
        self._check(key)
        label = f"{self.label}/{key}"
        with self._asking(label):
            part = None
            if same is not None and same.strong_etag and (start > 0 or end is not None):
                part = self._part(key, start, end, same)
            found = part or self._whole(key, unless)
        if found is None:
            return None
        listed = found.listed
        if unless is not None and Listed(key, listed.size, unless).is_same_as(listed):
            return None  # the server ignores If-None-Match
        blocks = self._blocks(found, label)
        return ObjectAnswer(listed, found.start, blocks, blocks.close, is_ranged=part is not None)

    def _get(self, key: str, options: GetOptions) -> _Opened:
        """Opens an object, and reads its first block: one step for a small one."""
        found = obstore.get(self._store, key, options=options)
        listed, (start, end) = _listed(found.meta), found.range
        blocks = iter(found.stream(min_chunk_size=_BLOCK_BYTES))
        first: bytes | Exception = b""
        if start < end:
            try:
                first = bytes(next(blocks, b""))
            except (BaseError, OSError) as error:
                first = error
        return _Opened(listed, start, end, first, blocks)

    def _part(self, key: str, start: int, end: int | None, same: Validators) -> _Opened | None:
        """A part of one version of an object, or None if that cannot be had."""
        options: GetOptions = {
            "if_match": same.strong_etag,
            "range": {"offset": start} if end is None else (start, end),
        }
        try:
            found = self._calls.wait(lambda: self._get(key, options))
        except (PreconditionError, GenericError) as error:
            if _is_about_the_range(error):
                return None
            raise
        etag = found.listed.validators.strong_etag
        return found if etag == same.strong_etag else None  # some servers ignore If-Match

    def _whole(self, key: str, unless: Validators | None) -> _Opened | None:
        """A whole object, or None if it is the one that is not needed again."""
        options: GetOptions = {}
        if unless is not None and unless.strong_etag:
            options["if_none_match"] = unless.strong_etag
        try:
            return self._calls.wait(lambda: self._get(key, options))
        except NotModifiedError:
            return None

    def close(self) -> None:
        """See `RemoteSource`. obstore closes connections that are not used."""
        self._calls.close()

    def _blocks(self, found: _Opened, label: str) -> Generator[bytes, None, None]:
        left, block = found.end - found.start, found.first
        while left > 0 and block:
            with self._asking(label):
                if isinstance(block, Exception):
                    raise block
            left -= len(block)
            yield block
            if left > 0:
                with self._asking(label):
                    block = self._calls.once(lambda: bytes(next(found.blocks, b"")))
        if left > 0:
            raise failed(
                UnreachableError(f"{label} ended {left} bytes too early"),
                ObjectFaultKind.SHORT_BODY,
            )

    def _check(self, key: str) -> None:
        """Refuses a key of which obstore would request another one."""
        if key.startswith("/"):
            wrong = UsageError(f"cannot request {self.label}/{key}: the key begins with a slash")
            raise failed(wrong, ObjectFaultKind.NAME)

    def _asking(self, label: str) -> AbstractContextManager[None]:
        """Translates errors of requests for `label`."""
        return asking(label, self.label, self._cloud)


def _listed(meta: ObjectMeta) -> Listed:
    seconds = (meta["last_modified"] - _EPOCH) // timedelta(seconds=1)
    # Versions are left out: listings do not have them, so they would differ from answers.
    validators = Validators(meta["e_tag"] or "", seconds * _SECOND_NS)
    return Listed(meta["path"], meta["size"], validators)


def _is_about_the_range(error: Exception) -> bool:
    """Whether an object can be read whole, but not this part of it.

    It changed, or has become shorter, or the server does not answer ranges.
    """
    text = str(error)
    return isinstance(error, PreconditionError) or "NotPartial" in text or status_of(error) == 416
