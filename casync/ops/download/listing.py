"""The listing phase: what the source has, as the items of a job.

Nothing moves before the listing is whole and each object has a name of its own. A listing that
breaks off starts over; it never ends early.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from casync.errors import (
    NotFoundError,
    RemoteProtocolError,
    StoppedError,
    UsageError,
)
from casync.jobs.address import parse_address, redacted
from casync.jobs.collisions import NameDigests, collision_step, digest_of, first_collision
from casync.jobs.item import Item
from casync.jobs.numbered import numbered_objects
from casync.jobs.spec import JobSpec, SourceKind
from casync.limits import JOB_BLOCK_ITEMS
from casync.ops.download.items import listed_item
from casync.remote.sources.base import Listed
from casync.remote.sources.by_folder import list_by_folder
from casync.remote.sources.job_sources import ItemPlace
from casync.store.jobs import JobClaim, JobStore

__all__ = ["MAX_ITEMS", "ItemListing", "in_share", "incomplete_list", "source_items"]

MAX_ITEMS: Final = 10_000_000
"""Items of a job. A listing without an end is found out by then."""


def in_share(spec: JobSpec, key: str) -> bool:
    """Whether an object of a listing belongs to the share of a job.

    The key decides: hosts that share a job may list the source at different times.
    """
    return spec.shares == 1 or spec.part_of(digest_of(key)) == spec.part


def source_items(
    spec: JobSpec, root: ItemPlace, stopped: threading.Event, *, by_folder: bool = False
) -> Iterator[Item]:
    """The items of all objects whose keys begin with the prefix of a job, and fit its template.

    Args:
        spec: What the job does.
        root: Its source and prefix.
        stopped: Ends the listing.
        by_folder: Make a request per folder. One that cannot be listed becomes an item that fails,
            as does an entry that can be no key.

    Raises:
        MalformedError: A key is not a path, and thus hides others; `by_folder` helps unless it is
            in the first folder.
        NotFoundError: There are none, and that is not allowed.
        RemoteProtocolError: The listing does not end.
        UsageError: The source cannot be listed.
        StoppedError: The job was stopped.
        CasyncError: The listing broke off.
    """
    count = 0
    numbered = numbered_objects(spec)
    address = parse_address(spec.source)
    for listed in _listed(spec, root, by_folder=by_folder):
        if stopped.is_set():
            raise StoppedError("stopped")
        if not listed.key.startswith(root.key) or (listed.key.endswith("/") and listed.size == 0):
            continue  # beside the prefix, or the mark of a folder
        if numbered is not None and not numbered.fits(listed.key[len(root.key) :]):
            continue
        count += 1
        if count > MAX_ITEMS:
            raise RemoteProtocolError(f"{root.source.label} lists more than {MAX_ITEMS} objects")
        if in_share(spec, listed.key):
            yield listed_item(spec, address, root, listed)
    if not count and not spec.allow_empty:
        raise NotFoundError(
            f"there is no object below {root.source.label}/{root.key}"
            + (" that fits the template" if numbered is not None else ""),
            next_step="Check the address. With --allow-empty an empty source is fine.",
        )


def _listed(spec: JobSpec, root: ItemPlace, *, by_folder: bool) -> Iterator[Listed]:
    """Everything in the folder of a prefix."""
    folder = root.key[: root.key.rfind("/") + 1]

    def leads(prefix: str) -> bool:
        return prefix.startswith(root.key) or root.key.startswith(prefix)

    try:
        if by_folder:
            yield from list_by_folder(root.source, folder, leads)
        else:
            yield from root.source.list_below(folder)
    except UsageError as error:
        if spec.kind is SourceKind.LISTING:
            raise
        raise UsageError(
            f"{redacted(spec.source)} has a number without an end, and {error.message}",
            next_step="Write {0000..9999} for it.",
        ) from error


def incomplete_list() -> UsageError:
    """The error of a job whose given list is not whole."""
    return UsageError(
        "the list of objects of this job was not read to its end",
        next_step="Run the download again with its list; `casync job rm ID` removes this job.",
    )


class ItemListing:
    """Writes the items of a job, block by block.

    Attributes:
        count: Items that were listed so far.
    """

    def __init__(self, jobs: JobStore, claim: JobClaim) -> None:
        self._jobs = jobs
        self._claim = claim
        self.count = 0

    def write(self, items: Iterable[Item]) -> None:
        """Writes all items, from the first block on. `count` is their number afterwards.

        Raises:
            UsageError: Two of them have one name.
            CasyncError: What `items` and the store raise.
        """
        self.count = 0
        names = NameDigests()
        block: list[Item] = []
        number = 0
        for item in items:
            if item.name:
                names.add(item.name)
            block.append(item)
            self.count += 1
            if len(block) == JOB_BLOCK_ITEMS:
                self._jobs.add_items(self._claim, number, block)
                number, block = number + 1, []
        if block:
            self._jobs.add_items(self._claim, number, block)
        if repeated := names.repeated():
            self._refuse(repeated)

    def adopt(self, count: int) -> None:
        """Takes the items that are here already, of a list that came in parts.

        Args:
            count: Their number.

        Raises:
            UsageError: Two of them have one name, or some are missing.
            CasyncError: What the store raises.
        """
        self.count = count
        names = NameDigests()
        found = 0
        for item in self._jobs.items(self._claim.row.id):
            found += 1
            if item.name:
                names.add(item.name)
        if found != count:
            raise incomplete_list()
        if repeated := names.repeated():
            self._refuse(repeated)

    def _refuse(self, repeated: frozenset[int]) -> None:
        """Refuses a name that several items have; equal digests alone are no such name."""
        ident = self._claim.row.id
        twice = first_collision((item.name for item in self._jobs.items(ident)), repeated)
        if twice is None:
            return
        same = (item.key for item in self._jobs.items(ident) if item.name == twice)
        one, other = (redacted(key) for key in islice(same, 2))
        raise UsageError(
            f"{one} and {other} would have one name, {twice}",
            next_step=collision_step(flatten=self._claim.row.spec.flatten),
        )
