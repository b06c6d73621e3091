"""What a job would do, without fetching anything: the plan that `download --dry-run` prints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from casync.errors import CasyncError, MalformedError, UsageError
from casync.jobs.collisions import NameDigests, collision_step, first_collision
from casync.jobs.item import Item
from casync.jobs.request import is_listed
from casync.jobs.spec import JobSpec
from casync.jobs.validators import Sameness, sameness
from casync.names.name import parse_name
from casync.ops.download.conditions import fits_list
from casync.ops.download.items import AddressedItems, why_unnamed
from casync.ops.download.listing import source_items
from casync.ops.download.removal import names_gone
from casync.remote.sources.job_sources import JobSources, shown_address
from casync.store.jobs import JobStore

__all__ = ["JobAction", "PlannedObject", "forecast_job"]


class JobAction(Enum):
    """What a job would do with an object or a name."""

    FETCH = "fetch"  # it is not here
    ASK = "ask"  # it is here; the source is asked whether it is unchanged
    SKIP = "skip"  # it is here, and the listing proves that it is unchanged
    REMOVE = "remove"  # its object is gone at the source
    FAIL = "fail"  # it can have no name, or its address is invalid


class PlannedObject(NamedTuple):
    """An object of a job, or a name to remove.

    Attributes:
        action: What the job would do.
        name: The name; empty if it can have none.
        size: Its size in bytes; None if it is not known.
        url: Its address as it would be requested, without secrets; empty for a name to remove.
        reason: Why it would fail; empty if it would not.
    """

    action: JobAction
    name: str
    size: int | None
    url: str
    reason: str = ""


def forecast_job(
    spec: JobSpec, jobs: JobStore, sources: JobSources, given: Callable[[], Iterable[Item]]
) -> Iterator[PlannedObject]:
    """The objects of a job in order, then the names that it would remove.

    Args:
        spec: What the job does, with its secrets.
        jobs: Knows where names came from.
        sources: Where the objects are. Listings are read, objects are not.
        given: The items of a given list, from the first on each time.

    Raises:
        UsageError: Two objects have one name, or more names than allowed would be removed.
        CasyncError: The source cannot be listed.
    """

    def items() -> Iterator[Item]:
        return _items(spec, sources, given)

    digests = NameDigests()
    for item in items():
        if item.name:
            digests.add(item.name)
        yield _planned(spec, item, jobs, sources)
    repeated = digests.repeated()
    twice = first_collision((item.name for item in items()), repeated) if repeated else None
    if twice is not None:
        raise UsageError(
            f"several objects would have the name {twice}",
            next_step=collision_step(flatten=spec.flatten),
        )
    if spec.sync:
        yield from _removals(spec, jobs, sources, items)


def _removals(
    spec: JobSpec, jobs: JobStore, sources: JobSources, items: Callable[[], Iterator[Item]]
) -> Iterator[PlannedObject]:
    for count, name in enumerate(names_gone(jobs, spec, sources.root(), items())):
        if spec.max_delete is not None and count >= spec.max_delete:
            raise UsageError(
                f"more than {spec.max_delete} names would be removed, so none is",
                next_step="Look at the source, or raise --max-delete.",
            )
        yield PlannedObject(JobAction.REMOVE, name, None, "")


def _items(
    spec: JobSpec, sources: JobSources, given: Callable[[], Iterable[Item]]
) -> Iterator[Item]:
    if is_listed(spec):
        yield from _listed(spec, sources)
    elif spec.is_list:
        yield from given()
    else:
        addressed = AddressedItems(spec)
        addressed.check()
        yield from (addressed[index] for index in range(len(addressed)))


def _listed(spec: JobSpec, sources: JobSources) -> Iterator[Item]:
    """The items of a listing. As in a run, one that a key hides is listed again by folders."""
    root, stopped = sources.root(), threading.Event()
    seen = NameDigests()
    try:
        for item in source_items(spec, root, stopped):
            seen.add(item.key)
            yield item
    except MalformedError:
        for item in source_items(spec, root, stopped, by_folder=True):
            if item.key not in seen:
                yield item


def _planned(spec: JobSpec, item: Item, jobs: JobStore, sources: JobSources) -> PlannedObject:
    try:
        place = sources.locate(item)
    except CasyncError as error:
        url = shown_address(item, None)
        return PlannedObject(JobAction.FAIL, item.name, item.size, url, error.message)
    url = shown_address(item, place)
    if not item.name:
        return PlannedObject(JobAction.FAIL, "", item.size, url, f"it {why_unnamed(item)}")
    origin = jobs.origin(parse_name(item.name))
    action = JobAction.FETCH
    if origin is not None and spec.is_list and not fits_list(origin, item):
        origin = None
    if origin is not None and (origin.place, origin.key) == (place.source.place, place.key):
        found = sameness(origin.validators, origin.size, item.validators, item.size)
        action = {Sameness.SAME: JobAction.SKIP, Sameness.UNKNOWN: JobAction.ASK}.get(
            found, JobAction.FETCH
        )
    return PlannedObject(action, item.name, item.size, url)
