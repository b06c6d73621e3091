"""Where the objects of a job are: the port that leads from an item to its source."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from casync.jobs.address import redacted
from casync.jobs.item import Item
from casync.jobs.naming import address_below, as_sent
from casync.remote.sources.base import RemoteSource

__all__ = ["JobSources", "ItemPlace", "shown_address"]


class ItemPlace(NamedTuple):
    """A place in a source.

    Attributes:
        source: The source.
        key: A key there, or a prefix.
        host: The host that is asked, for the bound on requests to one host.
    """

    source: RemoteSource
    key: str
    host: str


class JobSources(Protocol):
    """The sources of one job. Safe for threads."""

    def root(self) -> ItemPlace:
        """The source of the job, and the key or prefix that it names.

        Raises:
            UsageError: The address of the source is invalid.
            CasyncError: Its adapter cannot be set up.
        """
        ...

    def locate(self, item: Item) -> ItemPlace:
        """Where an item is. Raises as `root`."""
        ...

    def close(self) -> None:
        """Closes all connections. Reads that wait end with an error."""
        ...


def shown_address(item: Item, place: ItemPlace | None) -> str:
    """The address of an item for people: as its request has it, without secrets.

    Args:
        item: The item.
        place: Where it is; None if its address is invalid.
    """
    if item.is_url or place is None:
        return as_sent(redacted(item.key))
    if not item.name:  # what a listing shows instead of a key
        return f"{place.source.label}/{item.key}"
    return address_below(place.source.label, item.key)
