"""The sources of a job's items, opened by address."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import Final, Self

from casync.errors import StoppedError, UsageError
from casync.jobs.address import parse_address
from casync.jobs.item import Item
from casync.jobs.request import is_listed, listing_place
from casync.jobs.spec import JobSpec
from casync.remote.sources.job_sources import ItemPlace
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions

__all__ = ["ItemSources"]

_MAX_HEADER_SETS: Final = 64
"""Different sets of header fields in one list: each has connections of its own."""


class ItemSources:
    """The `JobSources` of a job. Use in a with block.

    Header fields of the job go to the server of its source; those of an item to the item's.

    Args:
        spec: What the job does, with its secrets.
        options: How to reach sources. Timeout, connections and header fields are the job's, and no
            request is repeated here: the job does that.
    """

    def __init__(self, spec: JobSpec, options: SourceOptions) -> None:
        self._spec = spec
        self._options = replace(
            options, connections=spec.max_conns, timeout=spec.timeout, retry_for=0.0
        )
        self._server = _server(spec.source)
        self._lock = threading.Lock()
        self._closed = False
        self._opened: dict[tuple[tuple[str, str], ...], Sources] = {}
        self._root: ItemPlace | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def root(self) -> ItemPlace:
        """As `JobSources.root`."""
        root = self._root
        if root is None:
            address, stem = self._spec.source, ""
            if is_listed(self._spec):
                address, stem = listing_place(self._spec)
            place = self._place(address, ())
            root = self._root = place._replace(key=place.key + stem)
        return root

    def locate(self, item: Item) -> ItemPlace:
        """As `JobSources.locate`."""
        if item.is_url:
            return self._place(item.key, item.headers)
        return self.root()._replace(key=item.key)

    def close(self) -> None:
        """As `JobSources.close`."""
        with self._lock:
            self._closed = True
            opened = list(self._opened.values())
        for sources in opened:
            sources.close()

    def _place(self, address: str, headers: tuple[tuple[str, str], ...]) -> ItemPlace:
        server = _server(address)
        if server == self._server:
            headers = (*self._spec.headers, *headers)
        source, key = self._sources(headers).open(address)
        return ItemPlace(source, key, server)

    def _sources(self, headers: tuple[tuple[str, str], ...]) -> Sources:
        with self._lock:
            if self._closed:
                raise StoppedError("stopped")
            if headers not in self._opened:
                if len(self._opened) >= _MAX_HEADER_SETS:
                    raise UsageError(
                        f"the list has more than {_MAX_HEADER_SETS} different sets of headers"
                    )
                self._opened[headers] = Sources(replace(self._options, headers=headers))
            return self._opened[headers]


def _server(address: str) -> str:
    """What comes before the path: the scheme, and a host or a bucket."""
    parsed = parse_address(address)
    if parsed.is_local:
        return ""
    authority = re.split("[/?#]", parsed.rest, maxsplit=1)[0]
    return f"{parsed.scheme}://{authority.rpartition('@')[2].lower()}"
