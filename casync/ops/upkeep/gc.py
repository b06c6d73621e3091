"""Gc: deletes the objects that no manifest leads to, and makes their room usable again.

Writers in other processes go on meanwhile; what they rely on stays. Nothing is deleted unless all
roots could be read.
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

__all__ = ["DAY", "CollectOptions", "Collected", "collect"]

DAY: Final = 86400.0

_DEAD_AT_ONCE: Final = 1 << 16
"""Dead objects in memory: about 20 MiB."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How to collect.

    Attributes:
        window: Seconds for which what was removed is kept; 0 keeps nothing.
        dry_run: Change nothing.
    """

    window: float = DAY
    dry_run: bool = False


class Collected(NamedTuple):
    """What was collected, or in a dry run would be; sizes in bytes.

    Attributes:
        roots: Manifests that were kept, those in the trash included.
        emptied: Manifests and versions of names that left the trash for good.
        objects: Objects that were deleted.
        stored: Bytes of their records.
        kept: Objects that were not deleted because writers have come to rely on them.
        segments: Segments that were freed whole, at once.
        moved: Bytes that were moved to free more.
        seconds: How long it took.
    """

    roots: int
    emptied: int
    objects: int
    stored: int
    kept: int
    segments: int
    moved: int
    seconds: float


def collect(
    store: CollectableStore,
    options: CollectOptions = CollectOptions(),
    progress: Progress = SILENT,
    tell: Callable[[Dead], None] = lambda _: None,
) -> Collected:
    """Collects.

    Args:
        store: What to collect.
        options: How.
        progress: Is told what happens.
        tell: Is told of each object that is to be deleted.

    Raises:
        LockedError: Another collection is running.
        DamagedStoreError: A manifest or a node cannot be read. Nothing was deleted.
        UnsupportedError: A manifest is newer than this program. Nothing was deleted.
        NoSpaceError, WriteError: The store cannot be written.
    """
    started = time.monotonic()
    with store.collection(window=options.window, dry_run=options.dry_run) as collection:
        marker = Marker(store)
        progress.start("marking", None)
        roots = 0
        for ident in collection.roots():
            marker.mark(ident)
            roots += 1
        progress.start("looking for what is dead", None)
        found = 0
        swept: list[Swept] = []
        dead = collection.dead(marker.is_marked)
        while group := list(islice(dead, _DEAD_AT_ONCE)):
            found += len(group)
            for each in group:
                tell(each)
            swept.append(_count(group) if options.dry_run else collection.delete(group))
        total = Swept.total(swept)
        moved = 0 if options.dry_run else _compact(collection, progress)
        seconds = time.monotonic() - started
        if not options.dry_run:
            with suppress(NoSpaceError):  # a figure is not worth a failure
                collection.note(total, seconds)
    return Collected(
        roots=roots,
        emptied=collection.emptied,
        objects=total.objects,
        stored=total.stored,
        kept=found - total.objects,
        segments=total.segments,
        moved=moved,
        seconds=seconds,
    )


def _count(group: list[Dead]) -> Swept:
    return Swept(len(group), sum(dead.stored for dead in group), 0)


def _compact(collection: Collection, progress: Progress) -> int:
    progress.start("moving what lives", None)
    try:
        return collection.compact()
    except NoSpaceError:
        progress.note("there is no room to move what lives; collect again when there is some")
        return 0
