"""Garbage collection: deletes the objects that no manifest leads to, and frees their space.

Writers in other processes continue meanwhile, and the objects that they rely on stay. Nothing is
deleted unless all roots could be read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import NoSpaceError
from casync.ops.upkeep.mark import Marker
from casync.store.collectable import CollectableStore, Collection, Dead, Swept
from casync.store.push import OpenPush

__all__ = ["DAY", "CollectOptions", "Collected", "collect"]

DAY: Final = 86400.0

_DEAD_AT_ONCE: Final = 1 << 16
"""Dead objects in memory: about 20 MiB."""


_ROWS_AT_ONCE: Final = 1 << 16
"""Rows of member indexes in memory."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How to collect.

    Attributes:
        window: Seconds for which the trash keeps its entries; 0 keeps nothing.
        dry_run: Change nothing.
        drop_pushes: End all open pushes, and collect what only they keep.
    """

    window: float = DAY
    dry_run: bool = False
    drop_pushes: bool = False


class Collected(NamedTuple):
    """The result of a collection, or in a dry run its forecast; sizes in bytes.

    Attributes:
        roots: Manifests that were kept, including those in the trash.
        emptied: Manifests and versions of names that left the trash for good.
        objects: Deleted objects.
        stored: Bytes of their records.
        kept: Unmarked objects that stayed, because writers rely on them meanwhile.
        segments: Segments that became empty and were deleted.
        moved: Bytes that were moved to free more segments.
        pushes: The pushes that were open at the start, the one silent for longest first.
        held: Objects that only these pushes keep.
        held_stored: Bytes of their records.
        seconds: Duration.
    """

    roots: int
    emptied: int
    objects: int
    stored: int
    kept: int
    segments: int
    moved: int
    pushes: list[OpenPush]
    held: int
    held_stored: int
    seconds: float


def collect(
    store: CollectableStore,
    options: CollectOptions = CollectOptions(),
    progress: Progress = SILENT,
    tell: Callable[[Dead], None] = lambda _: None,
) -> Collected:
    """Runs one collection.

    Args:
        store: The store.
        options: How to collect.
        progress: Receives phases and notes.
        tell: Called with each object before it is deleted.

    Raises:
        LockedError: Another collection is running.
        DamagedStoreError: A manifest or a node cannot be read. Nothing was deleted.
        UnsupportedError: A manifest is newer than this program. Nothing was deleted.
        NoSpaceError, WriteError: The store cannot be written.
    """
    started = time.monotonic()
    with store.collection(
        window=options.window, dry_run=options.dry_run, drop_pushes=options.drop_pushes
    ) as collection:
        marker = Marker(store)
        progress.start("marking", None)
        roots = 0
        for ident in collection.roots():
            marker.mark(ident)
            roots += 1
        for chunks in collection.half_fetched():
            marker.mark_chunks(chunks)
        stale = _mark_indexes(collection, marker)
        if stale and not options.dry_run:
            with suppress(NoSpaceError):  # they lead nowhere, and are dropped the next time
                collection.drop_indexes(stale)
        progress.start("finding dead objects", None)
        found = 0
        swept: list[Swept] = []
        dead = collection.dead(marker.is_marked)
        while group := list(islice(dead, _DEAD_AT_ONCE)):
            found += len(group)
            for each in group:
                tell(each)
            swept.append(_count(group) if options.dry_run else collection.delete(group))
        total = Swept.total(swept)
        if not options.dry_run:
            with suppress(NoSpaceError):  # the next collection has another try
                collection.sweep_jobs()
        moved = 0 if options.dry_run else _compact(collection, progress)
        seconds = time.monotonic() - started
        if not options.dry_run:
            with suppress(NoSpaceError):  # statistics are optional
                collection.note(total, seconds)
    return Collected(
        roots=roots,
        emptied=collection.emptied,
        objects=total.objects,
        stored=total.stored,
        kept=found - total.objects,
        segments=total.segments,
        moved=moved,
        pushes=collection.pushes,
        held=collection.held.objects,
        held_stored=collection.held.stored,
        seconds=seconds,
    )


def _mark_indexes(collection: Collection, marker: Marker) -> list[bytes]:
    """Marks the member indexes of marked archives; returns the others' archives."""
    stale: list[bytes] = []
    rows = collection.member_indexes()
    while some := list(islice(rows, _ROWS_AT_ONCE)):  # look-ups and marks in turns are slow
        wanted = [marker.is_marked_content(archive) for archive, _ in some]
        for (archive, index), is_wanted in zip(some, wanted, strict=True):
            if not is_wanted or not marker.mark_index(index):
                stale.append(archive)
    return stale


def _count(group: list[Dead]) -> Swept:
    return Swept(len(group), sum(dead.stored for dead in group), 0)


def _compact(collection: Collection, progress: Progress) -> int:
    progress.start("compacting", None)
    try:
        return collection.compact()
    except NoSpaceError:
        progress.note("there is no room to move live objects; free some space and collect again")
        return 0
