"""The last phase of `--sync`: removes names whose objects are gone at the source.

Only names that a download made from below the same prefix are removed, while they still have the
version that it made. They go to the trash. The phase comes after everything was fetched, from a
listing that was whole, and may be repeated. The listing may be days old by then, so the source is
asked for each object again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from casync.errors import NoNameError, PartialError, StoppedError
from casync.jobs.collisions import NameDigests
from casync.jobs.item import Item
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec
from casync.names.name import Name, Ref
from casync.ops.download.listing import in_share
from casync.remote.sources.job_sources import ItemPlace
from casync.sizes import format_count
from casync.store.jobs import JobStore
from casync.store.writable import Editable

__all__ = ["names_gone", "remove_names"]

_AT_ONCE: Final = 500
"""Names that are asked for together, and that one transaction removes."""


def names_gone(
    jobs: JobStore, spec: JobSpec, root: ItemPlace, items: Iterator[Item]
) -> Iterator[Name]:
    """The names of the job's share whose objects the source no longer has, in order.

    Args:
        jobs: Knows where names came from.
        spec: What the job does.
        root: Its source and prefix.
        items: Everything that the source had when it was listed.

    Raises:
        CasyncError: As `RemoteSource.find`.
    """
    unlisted = _unlisted(jobs, spec, root, items)
    with ThreadPoolExecutor(spec.max_conns, thread_name_prefix="gone") as pool:
        while some := list(islice(unlisted, _AT_ONCE)):
            found = pool.map(root.source.find, [origin.key for _, origin in some])
            for (name, origin), listed in zip(some, list(found), strict=True):
                if listed is None and jobs.origin(name) == origin:  # not set meanwhile
                    yield name


def _unlisted(
    jobs: JobStore, spec: JobSpec, root: ItemPlace, items: Iterator[Item]
) -> Iterator[tuple[Name, Origin]]:
    """The names of the job's share whose objects are not among its items, in order."""
    here = NameDigests()
    for item in items:
        here.add(item.name)
    folder = spec.dest if not spec.dest or spec.dest.endswith("/") else f"{spec.dest}/"
    for name, origin in jobs.origins(folder):
        if (
            origin.place == root.source.place
            and origin.key.startswith(root.key)
            and in_share(spec, origin.key)
            and name not in here
        ):
            yield name, origin


def remove_names(
    store: Editable,
    gone: Callable[[], Iterator[Name]],
    max_delete: int | None,
    stopped: threading.Event,
) -> Iterator[int]:
    """Removes names; yields how many each transaction removed.

    Args:
        store: Has the names.
        gone: The names to remove, as they are now. Called once more to count them.
        max_delete: The most names that may be removed; None for no bound.
        stopped: Ends the phase.

    Raises:
        PartialError: There are more than `max_delete`; none is removed.
        StoppedError: The job was stopped.
        NoSpaceError, WriteError: As `ObjectStore.commit`.
    """
    if max_delete is not None and any(islice(gone(), max_delete, None)):
        raise PartialError(
            f"more than {format_count(max_delete, 'name')} would be removed, so none was",
            next_step="Look at the source, or raise --max-delete.",
        )
    names = gone()
    while some := list(islice(names, _AT_ONCE)):
        if stopped.is_set():
            raise StoppedError("stopped")
        try:
            store.remove([Ref(name=name) for name in some])
        except NoNameError:  # another one removed some of them
            yield sum(_remove(store, name) for name in some)
        else:
            yield len(some)


def _remove(store: Editable, name: Name) -> bool:
    try:
        store.remove([Ref(name=name)])
    except NoNameError:
        return False
    return True
