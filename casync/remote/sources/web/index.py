"""Folders of web servers, read from the pages that list them.

It knows the pages of Python's http.server, nginx, Apache, lighttpd and Go's FileServer. A page that
is none of them, or is cut off, is an error: half a listing must not look like a whole one.
"""

from __future__ import annotations

import codecs
import re
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from blake3 import blake3

from casync.errors import (
    MalformedError,
    NotFoundError,
    RemoteError,
    UnreachableError,
    UsageError,
    WriteError,
)
from casync.jobs.fault import ObjectFaultKind
from casync.limits import KIB, MIB
from casync.remote.sources.base import ADDRESS_STEP, decode_key, encode_key, failed
from casync.remote.sources.web.connections import HttpConnections, refused
from casync.remote.sources.web.url import HttpUrl

__all__ = ["MAX_DEPTH", "IndexEntry", "IndexPage", "read_index", "walk_index"]

MAX_DEPTH: Final = 100
"""Folders inside each other. Links can make a folder contain itself."""

_ALIKE: Final = 8
"""Folders inside each other that list the same: by then it is a loop."""

_TRIES: Final = 3
"""Requests for a page whose answer breaks off."""

_MAX_PAGE_BYTES: Final = 512 * MIB
"""Bytes of a page: several million entries."""

_SPOOLED_BYTES: Final = 8 * MIB
"""Bytes of a page in memory; longer ones are kept in a file."""

_PIECE_BYTES: Final = 256 * KIB
_END_BYTES: Final = 4 * KIB
_LIST: Final = re.compile(rb"<a |<td|<li", re.I)
_END: Final = re.compile(rb"</(html|pre)>", re.I)
"""What the last bytes of a page hold that lists something, and of one that is whole."""

_HEADING: Final = re.compile(r"\s*(index of|directory listing (for|of)|listing( of)?\b)", re.I)
_FACTS: Final = re.compile(
    r"\s*(?:\d{4}-(?:\d\d|[A-Z][a-z]{2})-\d\d|\d\d-[A-Z][a-z]{2}-\d{4}) \d\d:\d\d(?::\d\d)?"
    r"\s+(\d{1,18})(?![\d.,]*[A-Za-z])"
)
"""What follows a name: the time, and a size in bytes. Sizes with a unit are rounded."""


_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._%~-]*/?", re.ASCII)
"""Links that lead to an entry of the folder, whatever the rules for relative links."""


class IndexEntry(NamedTuple):
    """An entry of a page.

    Attributes:
        name: Its name, decoded; bytes that are not UTF-8 are surrogates.
        size: Its size in bytes; None where the page does not say it exactly.
        is_folder: Whether it is a folder.
        url: Where the page leads for it.
        is_name: Whether its name is one; otherwise it is as in the link.
    """

    name: str
    size: int | None
    is_folder: bool
    url: HttpUrl
    is_name: bool = True


class IndexPage(HTMLParser):
    """Reads the page of a folder: feed it, take entries meanwhile, and finish it.

    Args:
        url: The URL of the page.
    """

    def __init__(self, url: HttpUrl) -> None:
        super().__init__(convert_charrefs=True)
        self._url = url
        self._folder = url.folder
        self._base = _components(url.folder)
        self._found: list[IndexEntry] = []
        self._last: IndexEntry | None = None  # which the next row may be about, too
        self._link: str | None = None
        self._tail: list[str] = []  # text after the last link, in its row
        self._inside = ""  # the heading or link that text belongs to
        self._headings: list[str] = []
        self._is_over = False
        self._has_text = False  # outside of links
        self._has_list = False
        self._has_end = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes the start of an element."""
        if tag in ("title", "h1", "a"):
            self._inside = tag
        if tag in ("title", "h1"):
            self._headings.append("")
        if tag == "pre":
            self._has_list = True
        if tag == "a":
            self._end_row()
            self._link = dict(attrs).get("href")
        elif tag == "td":
            self._tail.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Takes the end of an element."""
        if tag == self._inside:
            self._inside = ""
        if tag in ("tr", "li", "pre", "ul", "table", "html"):
            self._end_row()
        self._has_end = self._has_end or tag in ("html", "pre")

    def handle_data(self, data: str) -> None:
        """Takes text."""
        if self._inside in ("title", "h1"):
            self._headings[-1] += data
        elif not self._inside and not self._is_over:
            self._tail.append(data)
            self._has_text = self._has_text or not data.isspace()

    def take(self) -> list[IndexEntry]:
        """The entries that were found since the last call.

        Raises:
            UsageError: The page does not list a folder.
        """
        is_bare = not self._headings and not self._has_text and self._has_list
        if not is_bare and not any(map(_HEADING.match, self._headings)):
            raise UsageError(
                f"{self._url} is a page and no listing of a folder",
                next_step="The server may show index.html instead. Give the URLs of the objects.",
            )
        found, self._found = self._found, []
        return found

    def finish(self) -> list[IndexEntry]:
        """The last entries, after all of the page was fed.

        Raises:
            UsageError: As `take`.
            UnreachableError: It is cut off.
        """
        self._is_over = True  # what now comes is the beginning of something unfinished
        self.close()
        self._end_row()
        if self._last is not None:
            self._found.append(self._last)
        found = self.take()
        if not self._has_end:
            raise _cut_off(self._url)
        return found

    def _end_row(self) -> None:
        """Takes the link of the row that ends, with what was said after it."""
        link, tail = self._link, "".join(self._tail)
        self._link, self._tail = None, []
        entry = None if link is None else self._entry(link, tail)
        if entry is None:
            return
        last, self._last = self._last, entry
        if last is not None and last.name == entry.name and last.is_folder == entry.is_folder:
            # Icons lead to the entry, too.
            self._last = last if entry.size is None else entry
        elif last is not None:
            self._found.append(last)

    def _entry(self, link: str, tail: str) -> IndexEntry | None:
        """The entry that a link leads to, or None if it leads elsewhere."""
        if _PLAIN.fullmatch(link):
            data = link.encode()
            url = self._url._replace(path=self._folder + data, query=b"")
            name, is_folder = unquote_to_bytes(data.rstrip(b"/")), data.endswith(b"/")
        else:
            try:
                url = self._url.joined(encode_key(link))
            except UsageError:
                return None
            path = _components(url.path)
            is_folder = path[-1] == b""
            name = path[len(self._base) - 1] if len(path) >= len(self._base) else b""
            depth = len(self._base) + is_folder
            is_below = path[: len(self._base) - 1] == self._base[:-1] and len(path) == depth
            is_here = url.server == self._url.server and not url.query
            if not (is_below and is_here) or name in (b"", b".", b".."):
                return None
        if b"/" in name or b"\0" in name:
            shown = decode_key(url.path.split(b"/")[len(self._base) - 1])
            return IndexEntry(shown, None, is_folder, url, is_name=False)
        facts = _FACTS.match(tail)
        size = int(facts[1]) if facts and not is_folder else None
        return IndexEntry(decode_key(name), size, is_folder, url)


def _components(path: bytes) -> list[bytes]:
    return [unquote_to_bytes(part) for part in path.split(b"/")]


def _cut_off(url: HttpUrl) -> UnreachableError:
    return failed(UnreachableError(f"the listing of {url} is cut off"), ObjectFaultKind.SHORT_BODY)


def read_index(connections: HttpConnections, url: HttpUrl) -> Iterator[IndexEntry]:
    """The entries of a folder. Large pages are kept in a file meanwhile.

    Args:
        connections: Connections to web servers.
        url: The URL of the folder, whose path ends with a slash.

    Raises:
        NotFoundError: There is no such folder.
        UsageError: The server does not list it.
        WriteError: The page cannot be kept.
        CasyncError: The server cannot be asked, or refuses.
    """
    with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        for last in [False] * (_TRIES - 1) + [True]:
            try:
                page = IndexPage(_fetch(connections, url, file))
                break
            except UnreachableError as error:
                if last or error.fault not in (ObjectFaultKind.SHORT_BODY, ObjectFaultKind.STALL):
                    raise
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            page.feed(decoder.decode(piece))
            yield from page.take()
        page.feed(decoder.decode(b"", True))
        yield from page.finish()


def _fetch(
    connections: HttpConnections, url: HttpUrl, file: tempfile.SpooledTemporaryFile[bytes]
) -> HttpUrl:
    """Writes the page of a folder to a file; returns the URL that answered."""
    file.seek(0)
    file.truncate()
    with connections.ask("GET", url, {b"accept": b"text/html"}) as answer:
        if answer.status != 200:
            answer.drain()
            if answer.status in (404, 410):
                missing = NotFoundError(f"there is no folder {url}", next_step=ADDRESS_STEP)
                raise failed(missing, ObjectFaultKind.HTTP, answer.status)
            raise refused(url, answer.status)
        kind = answer.field("content-type").partition(";")[0].strip().lower()
        if kind not in ("text/html", "application/xhtml+xml") or answer.field("content-encoding"):
            raise UsageError(
                f"{url} is {kind or 'without a media type'} and no listing of a folder",
                next_step="Write the URL of an object without a slash at its end.",
            )
        end = b""
        room = _MAX_PAGE_BYTES
        for piece in answer.body():
            room -= len(piece)
            if room < 0:
                raise RemoteError(f"the listing of {url} has more than {_MAX_PAGE_BYTES} bytes")
            _write(file, piece)
            end = (end + piece)[-_END_BYTES:]
        if _LIST.search(end) and not _END.search(end):
            raise _cut_off(url)
        return answer.url


def _write(file: tempfile.SpooledTemporaryFile[bytes], data: bytes) -> None:
    try:
        file.write(data)
    except OSError as error:
        raise WriteError(
            f"cannot keep a listing in {tempfile.gettempdir()}: {error.strerror}",
            next_step="Set TMPDIR to another folder.",
        ) from error


def walk_index(connections: HttpConnections, url: HttpUrl) -> Iterator[tuple[str, int | None]]:
    """Path and size of all objects in a folder and the folders in it.

    Raises:
        MalformedError: An entry has no valid name.
        RemoteError: Folders contain themselves, or each other without end.
        CasyncError: As `read_index`.
    """
    waiting: list[tuple[str, HttpUrl, tuple[bytes, ...]]] = [("", url, ())]
    while waiting:
        path, folder, above = waiting.pop()
        below: list[IndexEntry] = []
        listed = blake3()
        for entry in read_index(connections, folder):
            if not entry.is_name:
                raise MalformedError(f"{folder} lists {entry.name}, which is no name")
            listed.update(repr(entry[:3]).encode())
            if entry.is_folder:
                below.append(entry)
            else:
                yield path + entry.name, entry.size
        digest = listed.digest()
        if len(above) >= MAX_DEPTH or above.count(digest) >= _ALIKE:
            raise failed(
                RemoteError(
                    f"{url} has folders that contain themselves, or too many within each other",
                    next_step="Remove links to folders above them on the server.",
                ),
                ObjectFaultKind.NAME,
            )
        here = (*above, digest)
        waiting += [(f"{path}{entry.name}/", entry.url, here) for entry in below]
