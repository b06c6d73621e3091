"""Buckets that speak S3: AWS, Ceph, MinIO, Swift, through obstore.

Only this module imports the library, which finds credentials and region as every tool for S3 does:
from AWS_ACCESS_KEY_ID and related variables, a web identity, or the role of the machine.

The library has two limits: it fails to list keys that are not paths (with an empty part, `.`, `..`
or a control character), and it lists the key `a/` as `a`.
"""

from __future__ import annotations

import re
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
from obstore.store import S3Store

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
from casync.fs.paths import StrPath, as_path
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.remote.sources.base import Listed, ListedFolder, ObjectAnswer, SourceOptions, failed

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config

__all__ = ["S3Bucket"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000
_ANSWER_SECONDS: Final = 600
"""Time limit of one answer: long enough for a range over a slow line."""

_SILENT_SECONDS: Final = 60
"""Time limit without any bytes."""

_CONNECT_SECONDS: Final = 10
_BLOCK_BYTES: Final = MIB
"""Bytes of a block of an answer."""

_TRIES: Final = 1000
"""More than fit into the time: `retry_for` bounds the retries."""

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_CREDENTIALS: Final = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
_ROLE_ADDRESS: Final = "169.254.169.254"
"""The address that the library asks for the machine's role if it finds no other credentials."""


class S3Bucket:
    """One bucket. See `RemoteSource`.

    Args:
        name: Its name.
        options: How to reach it.

    Raises:
        UsageError: The endpoint is not a URL, or the file has no certificates.
        CasyncError: The certificates cannot be read.
    """

    def __init__(self, name: str, options: SourceOptions = SourceOptions()) -> None:
        self.label = f"s3://{name}"
        endpoint = options.s3_endpoint
        self.place = f"{self.label} at {endpoint or 'AWS'}"
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise UsageError(f"the endpoint {endpoint} does not begin with http:// or https://")
        client: ClientConfig = {
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "timeout": timedelta(seconds=_ANSWER_SECONDS),
            "read_timeout": timedelta(seconds=_SILENT_SECONDS),
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        }
        if options.s3_ca is not None:
            client["root_certificate"] = _certificates(options.s3_ca)
        config: S3Config = {"endpoint": endpoint} if endpoint else {}
        retries: RetryConfig = {
            "max_retries": _TRIES,
            "retry_timeout": timedelta(seconds=options.retry_for),
        }
        with self._asking(self.label):
            self._store = S3Store(name, config=config, client_options=client, retry_config=retries)

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        try:
            with self._asking(f"{self.label}/{key}"):
                return _listed(obstore.head(self._store, key))
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
        options: GetOptions = {}
        if unless is not None and unless.strong_etag:
            options["if_none_match"] = unless.strong_etag
        is_part = (start > 0 or end is not None) and same is not None and bool(same.strong_etag)
        if same is not None and is_part:
            options["if_match"] = same.strong_etag
            options["range"] = {"offset": start} if end is None else (start, end)
        label = f"{self.label}/{key}"
        with self._asking(label):
            try:
                found = obstore.get(self._store, key, options=options)
            except NotModifiedError:
                return None
            except (PreconditionError, GenericError) as error:
                if not is_part or not _is_about_the_range(error):
                    raise
                is_part = False
                found = obstore.get(self._store, key)
        listed = _listed(found.meta)
        if unless is not None and Listed(key, listed.size, unless).is_same_as(listed):
            return None  # the server ignores If-None-Match
        first, last = found.range
        blocks = self._blocks(found, label, last - first)
        return ObjectAnswer(listed, first, blocks, blocks.close, is_ranged=is_part)

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
            raise SourceChangedError(f"{label} changed while it was read") from error
        except InvalidPathError as error:
            raise MalformedError(_first_line(error)) from error
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no object {label}") from error
        except ValueError as error:
            raise UsageError(f"cannot request {label}: {_first_line(error)}") from error
        except (BaseError, OSError) as error:
            raise _translated(error, label, self.label) from error


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


def _translated(error: Exception, label: str, bucket: str) -> CasyncError:
    text = str(error)
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    if _ROLE_ADDRESS in text:
        return DeniedError(f"there are no credentials for {label}", next_step=_CREDENTIALS)
    if status == 416:  # the range is gone, and the server ignores If-Match
        return SourceChangedError(f"{label} shrank while it was read")
    reason = _reason(text, status)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403):
        return DeniedError(f"may not read {label}: {reason}", next_step=_CREDENTIALS)
    if status == 404:
        return NotFoundError(f"there is no bucket {bucket}: {reason}")
    if 300 <= status < 500:
        step = "Check AWS_REGION and AWS_ENDPOINT_URL."
        return RemoteError(f"cannot read {label}: {reason}", next_step=step)
    step = "Run the same command again; what is stored already is not stored again."
    return UnreachableError(f"cannot reach {label}: {reason}", next_step=step)


def _reason(text: str, status: int) -> str:
    """The reason that the server gives, or else the library."""
    found = [match[1] for match in (_CODE.search(text), _MESSAGE.search(text)) if match]
    if found:
        return ": ".join(found)
    if status:
        return f"it answers {status}"
    return text.splitlines()[0].rpartition(" - ")[2]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0]


def _certificates(path: StrPath) -> bytes:
    try:
        return as_path(path).read_bytes()
    except OSError as error:
        raise CasyncError(f"cannot read the certificates in {path}: {error.strerror}") from error
