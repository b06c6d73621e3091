"""Objects of web servers: single URLs, and folders that the server lists.

Only what a server proved is trusted: an offset after a 206 with a matching Content-Range, a part of
an object only with a validator that If-Range may carry. Everything else begins at the first byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from blake3 import blake3

from casync.errors import (
    NotFoundError,
    RemoteError,
    RemoteProtocolError,
    UnreachableError,
    UsageError,
)
from casync.jobs.address import identity, parse_address
from casync.jobs.checksum import header_checksums
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import KIB
from casync.remote.sources.answer_body import blocks_of
from casync.remote.sources.base import Listed, ListedFolder, ObjectAnswer, failed, folder_of
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web.connections import HttpConnections, refused
from casync.remote.sources.web.host import HttpAnswer
from casync.remote.sources.web.index import MAX_DEPTH, IndexEntry, read_index, walk_index
from casync.remote.sources.web.url import HttpUrl, parse_url

__all__ = ["HttpOpener", "HttpSource"]

_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)")
_LENGTH: Final = re.compile(r"\d{1,18}")
_SETTLED_SECONDS: Final = 60
"""Age of a time, by the clock of its server, from which on a later change has another one."""

_BLOCK_BYTES: Final = 512 * KIB
"""Bytes of a block of an object that is read as blocks."""

_COMPRESSED: Final = re.compile(r"\.(gz|tgz|svgz|z|bz2|tbz2?|xz|txz|br|zst)$", re.IGNORECASE)


class _Part(NamedTuple):
    """The part of an object that an answer holds, and what it says of the object."""

    listed: Listed
    start: int
    length: int | None


class HttpOpener:
    """Opens URLs of web servers, which share connections."""

    def __init__(self, options: SourceOptions) -> None:
        self._connections = HttpConnections(options)

    def open(self, address: str) -> tuple[HttpSource, str]:
        """The source and the key of a URL. See `casync.remote.sources.open`."""
        url = parse_url(address)
        return HttpSource(address, url, self._connections), url.name

    def close(self) -> None:
        """Closes all connections."""
        self._connections.close()


class HttpSource:
    """The folder of one URL. See `RemoteSource`.

    Args:
        address: The URL as it was typed.
        url: The URL, which names a folder if its path ends with a slash, and else an object.
        connections: Connections to web servers.
    """

    def __init__(self, address: str, url: HttpUrl, connections: HttpConnections) -> None:
        self._url = url
        self._name = url.name
        self._connections = connections
        folder = url.folder.decode().rstrip("/")
        self.label = self.place = f"{url.server.origin}{folder}"
        _, _, query = identity(parse_address(address)).partition("?")
        if query:
            self.place += f"?{blake3(query.encode()).hexdigest(16)}"

    def close(self) -> None:
        """See `RemoteSource`."""
        self._connections.close()

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`. Asks with HEAD, and where that is refused for the first byte."""
        url = self._of(key)
        with self._connections.ask("HEAD", url, {}) as answer:
            answer.drain()
            if _is_folder(url, answer):
                return None
            if answer.status == 200:
                listed = _described(key, answer).listed
                if listed.size:  # Apache leaves out 0, and others say it where they do not know
                    return listed
        with self._connections.ask("GET", url, {b"range": b"bytes=0-0"}) as answer:
            if _is_folder(url, answer):
                return None
            if answer.status == 416:  # no object without a first byte has a range
                return Listed(key, 0, _validators(answer))
            if answer.status in (404, 410):
                return None
            return _described(key, _good(answer)).listed

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        entries = list(self._entries(prefix))
        named = (_listed(prefix, entry) for entry in entries if entry.is_name)
        odd = dict.fromkeys(entry.name for entry in entries if not entry.is_name)
        return folder_of(prefix, named)._replace(odd=[*odd])

    def iter_folder(self, prefix: str) -> Iterator[Listed]:
        """See `ListsByEntry`."""
        for entry in self._entries(prefix):
            yield _listed(prefix, entry)

    def _entries(self, prefix: str) -> Iterator[IndexEntry]:
        if prefix.count("/") > MAX_DEPTH:
            raise RemoteError(f"{self.label}/{prefix} is too deep; folders may contain themselves")
        return read_index(self._connections, self._folder(prefix))

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        for path, size in walk_index(self._connections, self._folder(prefix)):
            yield Listed(prefix + path, size)

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
        url = self._of(key)
        fields = _conditions(unless)
        if_range = same.if_range if same is not None else ""
        if if_range and (start or end is not None):
            last = "" if end is None else end - 1
            fields |= {b"range": f"bytes={start}-{last}".encode(), b"if-range": if_range.encode()}
        answer = self._connections.ask("GET", url, fields)
        if b"range" in fields and _is_lie(answer, start, end, same):
            answer.drain()
            del fields[b"range"], fields[b"if-range"]
            answer = self._connections.ask("GET", url, fields)
        try:
            if answer.status == 304 and b"if-none-match" in fields:
                answer.drain()
                return None
            if _is_folder(url, answer):
                raise failed(
                    NotFoundError(f"{url} is a folder, which is listed at {url}/"),
                    ObjectFaultKind.HTTP,
                    answer.status,
                )
            part = _described(key, _good(answer))
            if end is None:
                part = _to_the_end(answer, part)
            _refuse_encoding(url, answer)
            if unless is not None and Listed(key, part.listed.size, unless).is_same_as(part.listed):
                answer.close()
                return None  # the server ignores conditions
        except BaseException:
            answer.close()
            raise
        body = _MeasuredBody(answer, part.length)
        blocks = blocks_of(body, min(part.length or _BLOCK_BYTES, _BLOCK_BYTES))
        ranged = answer.status == 206
        return ObjectAnswer(
            part.listed, part.start, blocks, answer.close, is_ranged=ranged, body=body
        )

    def unchanged(self, known: Sequence[tuple[str, Validators]]) -> list[bool]:
        """See `AsksMany`. Asks with HEAD, so that no body follows an answer."""
        asked = [(self._of(key), _conditions(validators)) for key, validators in known]
        answers = self._connections.ask_heads(asked)
        found = [
            etag == validators.strong_etag != ""
            for etag, (_, validators) in zip(answers, known, strict=False)
        ]
        return found + [False] * (len(known) - len(found))

    def _of(self, key: str) -> HttpUrl:
        if not key or key.endswith("/"):
            raise UsageError(f"{self.label}/{key} is a folder, not an object")
        if key == self._name:
            return self._url
        if not {".", ".."}.isdisjoint(key.split("/")):
            raise UsageError(f"{self.label}/{key} leads out of its folder")
        return self._url.below(key)

    def _folder(self, prefix: str) -> HttpUrl:
        if not prefix and self._url.name:
            raise UsageError(
                f"{self._url} is one object and cannot be listed",
                next_step="Write the URL of a folder with a slash at its end.",
            )
        return self._url.below(prefix) if prefix else self._url


def _listed(prefix: str, entry: IndexEntry) -> Listed:
    """An entry of a page; the key of a folder ends with a slash."""
    key = f"{prefix}{entry.name}{'/' if entry.is_folder else ''}"
    return Listed(key, entry.size, is_key=entry.is_name)


def _conditions(unless: Validators | None) -> dict[bytes, bytes]:
    """The fields that ask for an object only if it is not the one with these validators.

    A time is none of them: for most servers an object with an older time is unmodified.
    """
    etag = unless.strong_etag if unless is not None else ""
    return {b"if-none-match": etag.encode("latin-1", "replace")} if etag else {}


def _good(answer: HttpAnswer) -> HttpAnswer:
    """The answer, if it is a success; otherwise raises what its status means."""
    if answer.status not in (200, 206):
        answer.drain()
        raise refused(answer.url, answer.status)
    return answer


def _is_folder(url: HttpUrl, answer: HttpAnswer) -> bool:
    """Whether a server led from a URL to the same one with a slash, as it does for folders."""
    if answer.url == url:
        return False
    asked, found = unquote_to_bytes(url.path), unquote_to_bytes(answer.url.path)
    return found == asked + b"/"


def _is_lie(answer: HttpAnswer, start: int, end: int | None, same: Validators | None) -> bool:
    """Whether the answer to a range leaves open which bytes it holds, or of which version."""
    if answer.status == 416:
        return True  # the object has become shorter
    found = _RANGE.fullmatch(answer.field("content-range"))
    if answer.status != 206:
        return answer.status == 200 and bool(answer.field("content-range"))
    if found is None or found[1] is None or int(found[1]) != start:
        return True
    if end is None and found[3] is None:
        return True  # it may end anywhere
    return same is None or not _is_of(same, _validators(answer))


def _is_of(same: Validators, found: Validators) -> bool:
    """Whether a part is of the version that If-Range named: servers may ignore If-Range.

    A part must have the ETag that the whole would have (RFC 9110 section 15.3.7), but may leave out
    its time.
    """
    if same.strong_etag:
        return found.strong_etag == same.strong_etag
    return found.last_modified in (None, same.last_modified)


def _described(key: str, answer: HttpAnswer) -> _Part:
    """What a successful answer says.

    Raises:
        RemoteProtocolError: It contradicts itself.
    """
    length_field = answer.field("content-length")
    length = int(length_field) if _LENGTH.fullmatch(length_field) else None
    validators = _validators(answer)
    if answer.status == 200:
        return _Part(Listed(key, length, validators), 0, length)
    found = _RANGE.fullmatch(answer.field("content-range"))
    if found is None or found[1] is None:
        raise failed(
            RemoteProtocolError(f"{answer.url}: an answer does not say which part it is"),
            ObjectFaultKind.HTTP,
            answer.status,
        )
    start, last = int(found[1]), int(found[2])
    total = None if found[3] is None else int(found[3])
    covered = last + 1 - start
    if covered < 1 or (total is not None and last >= total) or length not in (None, covered):
        raise failed(
            RemoteProtocolError(f"{answer.url}: the lengths of an answer contradict each other"),
            ObjectFaultKind.HTTP,
            answer.status,
        )
    return _Part(Listed(key, total, validators), start, covered)


def _to_the_end(answer: HttpAnswer, part: _Part) -> _Part:
    """The same part as the rest of its object, of which the server may send less.

    Raises:
        RemoteProtocolError: Nothing says where the object ends.
    """
    if answer.status != 206:
        return part
    if part.listed.size is None:
        raise failed(
            RemoteProtocolError(f"{answer.url}: an answer does not say where the object ends"),
            ObjectFaultKind.HTTP,
            answer.status,
        )
    return part._replace(length=part.listed.size - part.start)


def _validators(answer: HttpAnswer) -> Validators:
    modified = _moment(answer.field("last-modified"))
    now = _moment(answer.field("date"))
    age = 0.0 if modified is None or now is None else (now - modified).total_seconds()
    fields = answer.fields
    if answer.status == 206:
        fields.pop("content-md5", None)  # that of the part
    return Validators(
        checksums=header_checksums(fields),
        etag=answer.field("etag"),
        last_modified=None if modified is None else int(modified.timestamp()) * 10**9,
        settled=age >= _SETTLED_SECONDS,
    )


@lru_cache(maxsize=256)  # many objects have the time of others, and answers that of a second
def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refuse_encoding(url: HttpUrl, answer: HttpAnswer) -> None:
    """Refuses a body that was compressed for this answer, since its bytes are not the object's.

    Objects that are stored compressed have a name that says so, or a length and a strong ETag.
    """
    encoding = answer.field("content-encoding").lower()
    if encoding in ("", "identity") or _COMPRESSED.search(url.name):
        return
    if answer.field("content-length") and _validators(answer).strong_etag:
        return
    raise failed(
        RemoteProtocolError(
            f"{url}: the server compresses its answer ({encoding}), although it was asked not to"
        ),
        ObjectFaultKind.HTTP,
        answer.status,
    )


class _MeasuredBody:
    """An `AnswerBody` that must have the announced length."""

    def __init__(self, answer: HttpAnswer, length: int | None) -> None:
        self._answer = answer
        self._left = length

    def read_into(self, view: memoryview) -> int:
        """As `AnswerBody.read_into`."""
        count = self._answer.read_into(view)
        if self._left is not None:
            self._left -= count
            if self._left < 0 or (self._left and not count):
                problem = "ended too early" if self._left > 0 else "is longer than announced"
                error = UnreachableError(f"{self._answer.url} {problem}")
                raise failed(error, ObjectFaultKind.SHORT_BODY)
        return count
