"""The listings of a server, page by page: manifests, names, and versions of a name.

A page goes on behind the last item of the one before, so each listing ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from casync.errors import NoNameError, RemoteProtocolError
from casync.limits import PAGE_ITEMS
from casync.names.name import Name, NameRecord
from casync.store.base import ManifestRow, ManifestState
from casync.wire.documents import (
    HistoryPage,
    ManifestPage,
    NameItem,
    NamePage,
    name_record,
    parse_hash,
)

__all__ = ["Listings", "manifest_row"]

_Document = TypeVar("_Document", bound=msgspec.Struct)


class _GetDocument(Protocol):
    """Requests a document."""

    def __call__(self, target: str, kind: type[_Document]) -> _Document:
        """The document at `target`."""
        ...


class Listings:
    """The listings of one server.

    Args:
        origin: The server in messages.
        document: Requests a document.
    """

    def __init__(self, origin: str, document: _GetDocument) -> None:
        self._origin = origin
        self._document = document

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        after = ""
        while True:
            query = {"limit": PAGE_ITEMS} | ({"after": after} if after else {})
            page = self._document(f"/v1/manifests?{urlencode(query)}", ManifestPage)
            for item in page.manifests:
                after = self._rising(after, item.hash)
                yield manifest_row(item.hash, item.length, item.created)
            if not self.goes_on(page.more, page.manifests):
                return

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        after = ""
        while True:
            query = {"prefix": prefix, "after": after, "limit": PAGE_ITEMS}
            given = urlencode({key: value for key, value in query.items() if value})
            page = self._document(f"/v1/names?{given}", NamePage)
            for item in page.names:
                record = self._record(item)
                after = self._rising(after, record.name)
                if not after.startswith(prefix):
                    raise RemoteProtocolError(
                        f"{self._origin} lists names without the prefix asked"
                    )
                yield record
            if not self.goes_on(page.more, page.names):
                return

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        records: list[NameRecord] = []
        more = True
        while more:
            after = records[-1].version if records else 0
            query = urlencode({"history": 1, "after": after, "limit": PAGE_ITEMS})
            try:
                page = self._document(f"/v1/names/{quote(name)}?{query}", HistoryPage)
            except NoNameError:
                return []
            for item in page.versions:
                record = self._record(item)
                if record.name != name or record.version <= after:
                    raise RemoteProtocolError(f"{self._origin} sends a wrong history of {name}")
                after = record.version
                records.append(record)
            more = self.goes_on(page.more, page.versions)
        return records

    def goes_on(self, more: bool, items: Sequence[object]) -> bool:
        """Whether another page follows; an empty page cannot have one.

        Raises:
            RemoteProtocolError: It says that it has.
        """
        if more and not items:
            raise RemoteProtocolError(f"{self._origin} sends an empty page that is not the last")
        return more

    def _rising(self, after: str, item: str) -> str:
        """Checks that a listing is in order, so that it ends; returns `item`."""
        if item <= after:
            raise RemoteProtocolError(f"{self._origin} sends a listing that is out of order")
        return item

    def _record(self, item: NameItem) -> NameRecord:
        try:
            return name_record(item)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{self._origin} sends {error.message}") from error


def manifest_row(text: str, length: int, created: int) -> ManifestRow:
    """The row of a full manifest in a listing or a view."""
    return ManifestRow(parse_hash(text), ManifestState.FULL, length, created)
