"""Files of HDFS by WebHDFS: its REST interface, which NameNodes and gateways serve.

The NameNode describes files and leads to a DataNode for their bytes. It knows no conditions, so a
file is described before each read, and its time and length tell whether it is still the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import quote, quote_from_bytes, urlencode

import msgspec

from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NotFoundError,
    RemoteError,
    RemoteProtocolError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.address import parse_address, redacted
from casync.jobs.fault import ObjectFaultKind, status_text
from casync.jobs.validators import Validators
from casync.limits import KIB, MIB
from casync.remote.http.address import ServerAddress
from casync.remote.http.address import parse_address as parse_server
from casync.remote.sources.base import (
    ADDRESS_STEP,
    Listed,
    ListedFolder,
    ObjectAnswer,
    encode_key,
    failed,
    range_to_read,
)
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web.connections import HttpConnections
from casync.remote.sources.web.host import HttpAnswer
from casync.remote.sources.web.url import HttpUrl

__all__ = ["WebHdfsOpener", "WebHdfsSource"]

_SCHEMES: Final = {"webhdfs": ("http", 9870), "swebhdfs": ("https", 9871)}
"""How each scheme is spoken, and the port of Hadoop 3."""

_MAX_LISTING_BYTES: Final = 512 * MIB
"""Bytes of one listing: a million files without LISTSTATUS_BATCH."""

_MAX_STATUS_BYTES: Final = 64 * KIB
_TRIES: Final = 3
"""Requests for an answer that breaks off."""

_MILLISECOND_NS: Final = 1_000_000


class _FileStatus(msgspec.Struct, rename="camel"):
    """A file or folder, as WebHDFS describes it."""

    path_suffix: str
    type: Literal["FILE", "DIRECTORY", "SYMLINK"]
    length: Annotated[int, msgspec.Meta(ge=0)]
    modification_time: int
    file_id: int = 0


class _Status(msgspec.Struct, rename="pascal"):
    file_status: _FileStatus


class _Files(msgspec.Struct, rename="pascal"):
    file_status: list[_FileStatus]


class _Listing(msgspec.Struct, rename="pascal"):
    file_statuses: _Files


class _Partial(msgspec.Struct, rename="camel"):
    partial_listing: _Listing
    remaining_entries: int


class _PartialListing(msgspec.Struct, rename="pascal"):
    directory_listing: _Partial


class _Exception(msgspec.Struct):
    exception: str
    message: str = ""


class _Refusal(msgspec.Struct, rename="pascal"):
    remote_exception: _Exception


_Document = TypeVar("_Document", bound=msgspec.Struct)


class WebHdfsOpener:
    """Opens `webhdfs://[USER@]HOST[:PORT]/PATH`, and `swebhdfs://` by https."""

    def __init__(self, options: SourceOptions) -> None:
        self._connections = HttpConnections(options)

    def open(self, address: str) -> tuple[WebHdfsSource, str]:
        """The file system and the path of an address. See `casync.remote.sources.open`.

        Raises:
            UsageError: The address is invalid.
        """
        parsed = parse_address(address)
        protocol, port = _SCHEMES[parsed.scheme]
        authority, _, key = parsed.rest.partition("/")
        user, _, place = authority.rpartition("@")
        if ":" in user:
            raise UsageError(
                f"{redacted(address)}: WebHDFS takes a user without a password",
                next_step="Give what a gateway asks for with --header.",
            )
        server = parse_server(f"{protocol}://{place}", "WebHDFS server", port)
        label = f"{parsed.scheme}://{place.lower()}"
        return WebHdfsSource(label, server, user, self._connections), key

    def close(self) -> None:
        """Closes all connections."""
        self._connections.close()


class WebHdfsSource:
    """One file system. See `RemoteSource`.

    Args:
        label: Its address.
        server: Its NameNode or gateway.
        user: The user to read as; empty for the server's default.
        connections: Connections to web servers.
    """

    def __init__(
        self, label: str, server: ServerAddress, user: str, connections: HttpConnections
    ) -> None:
        self.label = label
        self.place = f"webhdfs at {server.origin}"
        self._server = server
        self._user = user
        self._connections = connections
        self._has_batches = True
        self._lock = threading.Lock()

    def close(self) -> None:
        """See `RemoteSource`."""
        self._connections.close()

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        try:
            status = self._ask(key, _Status, _MAX_STATUS_BYTES, op="GETFILESTATUS").file_status
        except NotFoundError:
            return None
        return _listed(key, status) if status.type == "FILE" else None

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            for status in self._entries(folder):
                key = folder + status.path_suffix
                if status.type == "DIRECTORY":
                    waiting.append(f"{key}/")
                elif status.type == "FILE":
                    yield _listed(key, status)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        objects: list[Listed] = []
        prefixes: list[str] = []
        for status in self._entries(prefix):
            key = prefix + status.path_suffix
            if status.type == "DIRECTORY":
                prefixes.append(f"{key}/")
            elif status.type == "FILE":
                objects.append(_listed(key, status))
        return ListedFolder(objects, prefixes)

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
        listed = self.find(key)
        if listed is None or listed.size is None:
            missing = NotFoundError(f"there is no file {self.label}/{key}")
            raise failed(missing, ObjectFaultKind.HTTP, 404)
        asked = range_to_read(listed, start, end, same, unless)
        if asked is None:
            return None
        length = asked.end - asked.start
        parts = {"op": "OPEN", "offset": asked.start}
        if asked.end < listed.size:
            parts["length"] = length
        answer = self._connections.ask("GET", self._url(key, parts), {})
        if answer.status != 200:
            raise self._refused(key, answer)
        blocks = _measured(answer, length, f"{self.label}/{key}")
        return ObjectAnswer(listed, asked.start, blocks, answer.close, is_ranged=asked.is_ranged)

    def _entries(self, folder: str) -> Iterator[_FileStatus]:
        """The entries of a folder, whose path ends with a slash.

        Raises:
            NotFoundError: There is none.
            MalformedError: The name of an entry is none.
        """
        for status in self._statuses(folder):
            name = status.path_suffix
            if not name:
                raise failed(
                    NotFoundError(f"{self.label}/{folder} is a file"), ObjectFaultKind.HTTP, 404
                )
            if "/" in name or name in (".", ".."):
                raise MalformedError(
                    f"{self.label}/{folder} lists {name!r}, which is not a file name"
                )
            yield status

    def _statuses(self, folder: str) -> Iterator[_FileStatus]:
        if self._has_batches:
            try:
                yield from self._batches(folder)
            except _NoBatchesError:
                self._has_batches = False  # Hadoop before 2.9, and some gateways
            else:
                return
        found = self._ask(folder, _Listing, _MAX_LISTING_BYTES, op="LISTSTATUS")
        yield from found.file_statuses.file_status

    def _batches(self, folder: str) -> Iterator[_FileStatus]:
        after = ""
        while True:
            parts = {"op": "LISTSTATUS_BATCH"} | ({"startAfter": after} if after else {})
            page = self._ask(folder, _PartialListing, _MAX_LISTING_BYTES, **parts)
            entries = page.directory_listing.partial_listing.file_statuses.file_status
            yield from entries
            if page.directory_listing.remaining_entries <= 0:
                return
            if not entries or entries[-1].path_suffix <= after:
                raise failed(
                    RemoteProtocolError(f"{self.label} lists {folder!r} without an end"),
                    ObjectFaultKind.HTTP,
                )
            after = entries[-1].path_suffix

    def _ask(self, key: str, kind: type[_Document], most: int, **parts: object) -> _Document:
        """Asks the NameNode.

        Raises:
            NotFoundError: There is no such path.
            CasyncError: It refuses, or cannot be asked.
        """
        for last in [False] * (_TRIES - 1) + [True]:
            try:
                with self._connections.ask("GET", self._url(key, parts), {}) as answer:
                    if answer.status != 200:
                        raise self._refused(key, answer)
                    return msgspec.json.decode(_read(answer, most), type=kind)
            except msgspec.DecodeError as error:
                raise failed(
                    RemoteProtocolError(
                        f"{self.label} does not answer as WebHDFS does: {error}",
                        next_step="Check the port: it is that of the NameNode's web pages.",
                    ),
                    ObjectFaultKind.HTTP,
                ) from error
            except UnreachableError as error:
                if last or error.fault not in (ObjectFaultKind.SHORT_BODY, ObjectFaultKind.STALL):
                    raise
        raise AssertionError

    def _url(self, key: str, parts: Mapping[str, object]) -> HttpUrl:
        """The URL of a request.

        Raises:
            UsageError: The key leads out of its folder.
        """
        names = key.removesuffix("/").split("/")
        if key and not {"", ".", ".."}.isdisjoint(names):
            raise UsageError(f"{self.label}/{key} is not a path")
        path = b"/webhdfs/v1/" + quote_from_bytes(encode_key(key), safe="/").encode()
        if self._user:
            parts = {**parts, "user.name": self._user}
        query = "?" + urlencode(parts, quote_via=quote)
        return HttpUrl(self._server, path, query.encode())

    def _refused(self, key: str, answer: HttpAnswer) -> CasyncError:
        """The error for a refusal. Ends the answer."""
        label, status = f"{self.label}/{key}", answer.status
        text, exception = status_text(status), ""
        with answer:
            try:
                found = msgspec.json.decode(_read(answer, _MAX_STATUS_BYTES), type=_Refusal)
            except (CasyncError, msgspec.DecodeError):
                pass
            else:
                exception = found.remote_exception.exception
                text = f"{exception}: {found.remote_exception.message.partition(chr(10))[0]}"
        error: CasyncError
        if status in (401, 403) and exception != "StandbyException":
            error = DeniedError(
                f"may not read {label}: {text}", next_step="Name a user as webhdfs://USER@HOST/."
            )
        elif status == 404:
            error = NotFoundError(f"there is no {label}", next_step=ADDRESS_STEP)
        elif status == 400 and "LISTSTATUS_BATCH" in text:
            error = _NoBatchesError(text)
        else:
            error = RemoteError(f"{label}: {text}")
        return failed(error, ObjectFaultKind.HTTP, status)


class _NoBatchesError(RemoteError):
    """The server does not know LISTSTATUS_BATCH."""


def _listed(key: str, status: _FileStatus) -> Listed:
    time, length = status.modification_time, status.length
    validators = Validators(
        last_modified=time * _MILLISECOND_NS, version=f"{status.file_id}-{time}-{length}"
    )
    return Listed(key, length, validators)


def _read(answer: HttpAnswer, most: int) -> bytes:
    parts: list[bytes] = []
    for block in answer.body():
        parts.append(block)
        most -= len(block)
        if most < 0:
            raise RemoteError(f"{answer.url} answers with too many bytes")
    return b"".join(parts)


def _measured(answer: HttpAnswer, length: int, label: str) -> Iterator[bytes]:
    """The body, which must have the length that the file had before."""
    left = length
    for block in answer.body():
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        changed = SourceChangedError(f"{label} changed while it was read")
        raise failed(changed, ObjectFaultKind.CHANGED)
