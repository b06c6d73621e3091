"""The items of a job, by index: of a list in the store, or made from the address one by one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from casync.errors import UsageError
from casync.jobs.address import Address, parse_address, redacted
from casync.jobs.collisions import refuse_collisions
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.naming import below_prefix, label_template, last_label, name_below
from casync.jobs.request import is_listed
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.template import Template, address_template
from casync.names.name import parse_name
from casync.remote.sources.base import Listed
from casync.remote.sources.job_sources import ItemPlace
from casync.store.jobs import JobStore

__all__ = ["AddressedItems", "items_from", "listed_item", "why_unnamed"]


class AddressedItems:
    """The items that the address of a job stands for: one object, or those of a template.

    Of a job that shares a template with others, these are the items of its share.

    Args:
        spec: What the job does, with its secrets.

    Raises:
        UsageError: The address is invalid or has no end, or objects would have one name.
    """

    def __init__(self, spec: JobSpec) -> None:
        address = parse_address(spec.source)
        self._spec = spec
        self._address = address
        self._addresses = Template(spec.source, ())
        self._labels: Template | None = None
        if spec.kind is SourceKind.TEMPLATE:
            self._addresses = address_template(address)
            if self._addresses.is_endless:
                raise UsageError(
                    f"{redacted(spec.source)} has a number without an end",
                    next_step="Write {0000..9999} for it.",
                )
            self._labels = label_template(self._addresses, address, flatten=spec.flatten)
        elif not spec.dest or spec.dest.endswith("/"):
            self._labels = Template(last_label(address), ())

    def check(self) -> None:
        """Refuses names that several items would have. May take seconds.

        Raises:
            UsageError: There are some.
        """
        if self._labels is not None:
            refuse_collisions(self._labels)

    def __len__(self) -> int:
        """How many there are."""
        return len(range(self._spec.part - 1, len(self._addresses), self._spec.shares))

    def __getitem__(self, index: int) -> Item:
        """The item at an index of the job."""
        at = self._spec.part - 1 + index * self._spec.shares
        dest = self._spec.dest
        try:
            name: str = (
                name_below(dest, self._labels[at], self._address)
                if self._labels
                else parse_name(dest)
            )
        except UsageError:
            name = ""
        return Item(self._addresses[at], name, is_url=True)


def items_from(spec: JobSpec, jobs: JobStore, row: JobRow) -> Iterator[Item]:
    """The items of a job from its cursor on.

    Raises:
        CasyncError: What the store raises.
    """
    if spec.is_list or is_listed(spec):
        yield from jobs.items(row.id, row.cursor)
        return
    items = AddressedItems(spec)
    for index in count(row.cursor):
        if index >= len(items):
            return
        yield items[index]


def listed_item(spec: JobSpec, address: Address, root: ItemPlace, listed: Listed) -> Item:
    """The item of an object that a source lists.

    It has no name if it can have none.

    Args:
        spec: What the job does.
        address: The address of its source.
        root: The source and the prefix that is listed.
        listed: The object.
    """
    if not listed.is_key:
        return Item(listed.key, "")
    try:
        label = below_prefix(root.key, listed.key, flatten=spec.flatten)
        name: str = name_below(spec.dest, label, address)
    except UsageError:
        name = ""
    return Item(listed.key, name, False, listed.size, listed.validators)


def why_unnamed(item: Item) -> str:
    """Why an item without a name fails, to be said behind its address."""
    is_folder = item.key.endswith("/") and item.size is None and not item.is_url
    return (
        "has keys that are not paths"
        if is_folder
        else "can have no name; a list can give it one: URL,NAME"
    )
