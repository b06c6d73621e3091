"""Buckets of S3 (AWS, Ceph, MinIO, Swift), Google and Azure, through obstore.

Only this module and `obstore_stores` import the library. It has two limits: it fails to list keys
that are not paths (with an empty part, `.`, `..` or a control character), and it lists the key `a/`
as `a`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import (
    BaseError,
    GenericError,
    InvalidPathError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NotFoundError,
    RemoteError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.remote.sources.base import Listed, ListedFolder, ObjectAnswer, failed
from casync.remote.sources.obstore_stores import CLOUDS, Cloud, make_store, server_of
from casync.remote.sources.options import SourceOptions

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

__all__ = ["BucketOpener", "ObstoreBucket"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000
_BLOCK_BYTES: Final = MIB
"""Bytes of a block of an answer."""

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_CAUSE: Final = re.compile(r'(?:error|message): "([^"]*)"')
"""The innermost cause in the details of an error of the network."""

_SIGNS: Final = {
    ObjectFaultKind.DNS: "dns error",
    ObjectFaultKind.TIMEOUT: "kind: Timeout",
    ObjectFaultKind.TLS: "InvalidCertificate",
}
"""Words in those details."""

_ROLE_ADDRESSES: Final = ("169.254.169.254", "metadata.google.internal")
"""Where the library asks for the machine's role if it finds no other credentials."""

_NO_HEAD: Final = frozenset({"405", "501"})
"""Statuses of servers that do not answer HEAD."""

_NAME: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")


class BucketOpener:
    """Opens addresses of buckets. Those of one bucket share it."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], ObstoreBucket] = {}

    def open(self, address: str) -> tuple[ObstoreBucket, str]:
        """The bucket and the key of an address. See `casync.remote.sources.open`."""
        scheme, _, rest = address.partition("://")
        name, _, key = rest.partition("/")
        cloud = CLOUDS[scheme.lower()]
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{address} is not the address of a bucket",
                next_step=f"Write {scheme}://BUCKET/PREFIX.",
            )
        with self._lock:
            found = self._buckets.get((cloud.scheme, name))
            if found is None:
                found = ObstoreBucket(cloud, name, self._options)
                self._buckets[cloud.scheme, name] = found
        return found, key

    def close(self) -> None:
        """Does nothing: obstore closes connections that are not used."""


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

    def __init__(self, cloud: Cloud, name: str, options: SourceOptions = SourceOptions()) -> None:
        self.label = f"{cloud.scheme}://{name}"
        self.place = f"{self.label} at {server_of(cloud, options) or cloud.name}"
        self._cloud = cloud
        with self._asking(self.label):
            self._store = make_store(cloud, name, options)

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        try:
            with self._asking(f"{self.label}/{key}"):
                try:
                    return _listed(obstore.head(self._store, key))
                except BaseError as error:
                    if (_STATUS.search(str(error)) or "  ")[1] not in _NO_HEAD:
                        raise
                return _listed(obstore.get(self._store, key).meta)
        except NotFoundError:
            return None

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        with self._asking(f"{self.label}/{prefix}"):
            pages = iter(obstore.list(self._store, prefix or None))
        while True:
            with self._asking(f"{self.label}/{prefix}"):
                page = next(pages, None)
            if page is None:
                return
            yield from map(_listed, page)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        with self._asking(f"{self.label}/{prefix}"):
            found = obstore.list_with_delimiter(self._store, prefix or None)
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
        label = f"{self.label}/{key}"
        with self._asking(label):
            part = None
            if same is not None and same.strong_etag and (start > 0 or end is not None):
                part = self._part(key, start, end, same)
            found = part or self._whole(key, unless)
        if found is None:
            return None
        listed = _listed(found.meta)
        if unless is not None and Listed(key, listed.size, unless).is_same_as(listed):
            return None  # the server ignores If-None-Match
        first, last = found.range
        blocks = self._blocks(found, label, last - first)
        return ObjectAnswer(listed, first, blocks, blocks.close, is_ranged=part is not None)

    def _part(self, key: str, start: int, end: int | None, same: Validators) -> GetResult | None:
        """A part of one version of an object, or None if that cannot be had."""
        options: GetOptions = {
            "if_match": same.strong_etag,
            "range": {"offset": start} if end is None else (start, end),
        }
        try:
            found = obstore.get(self._store, key, options=options)
        except (PreconditionError, GenericError) as error:
            if _is_about_the_range(error):
                return None
            raise
        etag = _listed(found.meta).validators.strong_etag
        return found if etag == same.strong_etag else None  # some servers ignore If-Match

    def _whole(self, key: str, unless: Validators | None) -> GetResult | None:
        """A whole object, or None if it is the one that is not needed again."""
        options: GetOptions = {}
        if unless is not None and unless.strong_etag:
            options["if_none_match"] = unless.strong_etag
        try:
            return obstore.get(self._store, key, options=options)
        except NotModifiedError:
            return None

    def close(self) -> None:
        """See `RemoteSource`: obstore closes connections that are not used."""

    def _blocks(self, found: GetResult, label: str, length: int) -> Generator[bytes, None, None]:
        left = length
        with self._asking(label):
            for block in found.stream(min_chunk_size=_BLOCK_BYTES):
                left -= len(block)
                yield bytes(block)
        if left > 0:
            raise failed(
                UnreachableError(f"{label} ended {left} bytes too early"),
                ObjectFaultKind.SHORT_BODY,
            )

    @contextmanager
    def _asking(self, label: str) -> Iterator[None]:
        """Translates errors of requests for `label`."""
        try:
            yield
        except PreconditionError as error:
            changed = SourceChangedError(f"{label} changed while it was read")
            raise failed(changed, ObjectFaultKind.CHANGED) from error
        except InvalidPathError as error:
            raise MalformedError(_first_line(error)) from error
        except FileNotFoundError as error:
            missing = NotFoundError(f"there is no object {label}")
            raise failed(missing, ObjectFaultKind.HTTP, 404) from error
        except ValueError as error:
            raise UsageError(f"cannot request {label}: {_first_line(error)}") from error
        except (BaseError, OSError) as error:
            raise _translated(error, label, self.label, self._cloud) from error


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
    return (
        isinstance(error, PreconditionError)
        or "NotPartial" in text
        or (_STATUS.search(text) or [""] * 2)[1] == "416"
    )


def _translated(error: Exception, label: str, bucket: str, cloud: Cloud) -> CasyncError:
    text = str(error)
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    kind = ObjectFaultKind.HTTP if status else _network_fault(text)
    if any(address in text for address in _ROLE_ADDRESSES):
        denied = DeniedError(f"there are no credentials for {label}", next_step=cloud.credentials)
        return failed(denied, ObjectFaultKind.HTTP)
    if status == 416:  # the range is gone, and the server ignores If-Match
        shrank = SourceChangedError(f"{label} shrank while it was read")
        return failed(shrank, ObjectFaultKind.CHANGED)
    reason = _reason(text, status)
    found: CasyncError
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403):
        found = DeniedError(f"may not read {label}: {reason}", next_step=cloud.credentials)
    elif status == 404:
        found = NotFoundError(f"there is no bucket {bucket}: {reason}")
    elif 300 <= status < 500:
        found = RemoteError(f"cannot read {label}: {reason}", next_step=cloud.settings)
    else:
        step = "Run the same command again; what is stored already is not stored again."
        found = UnreachableError(f"cannot reach {label}: {reason}", next_step=step)
    return failed(found, kind, status)


def _network_fault(text: str) -> ObjectFaultKind:
    """What went wrong before there was an answer, from the text of the library's error."""
    for kind, sign in _SIGNS.items():
        if sign in text:
            return kind
    return ObjectFaultKind.CONNECT


def _reason(text: str, status: int) -> str:
    """The reason that the server gives, or else the library."""
    found = [match[1] for match in (_CODE.search(text), _MESSAGE.search(text)) if match]
    if found:
        return ": ".join(found)
    if status:
        return f"it answers {status}"
    if _network_fault(text) is ObjectFaultKind.TIMEOUT:
        return "it does not answer in time"
    cause = _CAUSE.search(text)
    return cause[1] if cause else text.splitlines()[0].rpartition(" - ")[2]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0]
