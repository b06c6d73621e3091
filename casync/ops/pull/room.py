"""Whether a target fits on its disk, before the first chunk travels."""

from __future__ import annotations

from collections.abc import Callable

from casync.access.outline import load_outline
from casync.errors import NoSpaceError
from casync.fs.extents import can_clone
from casync.fs.target.part import shared_part
from casync.fs.target.place import TargetPlace, check_space
from casync.ops.pull.wanted import PullPlan, WantedFile

__all__ = ["check_room"]


def check_room(
    wanted: WantedFile,
    place: TargetPlace,
    allocated: int,
    plan: Callable[[], PullPlan],
) -> None:
    """Refuses a target that does not fit on its disk.

    Holes, and blocks that a new file shares with seeds, need no space. They are counted only where
    the whole does not fit.

    Args:
        wanted: The content.
        place: The target.
        allocated: Bytes that it occupies already.
        plan: Plans the pull.

    Raises:
        NoSpaceError: There is less space than that.
        CasyncError: The nodes of the content cannot be fetched.
    """
    need = wanted.outline.length
    try:
        check_space(place, need - allocated)
    except NoSpaceError:
        load_outline(wanted.outline, wanted.loader)
        need = wanted.outline.solid_bytes()
        try:
            check_space(place, need - allocated)
        except NoSpaceError:
            if place.in_place or not can_clone(place.path.parent):
                raise
            shared = _shared_bytes(plan, place)
            # What is there already may share blocks, too.
            check_space(place, need - shared - max(allocated - shared, 0))


def _shared_bytes(plan: Callable[[], PullPlan], place: TargetPlace) -> int:
    """Bytes that a new file will share with seeds on the same file system."""
    status = place.path.parent.stat()
    shared = 0
    with plan() as planned:
        for stretch in planned.stretches():
            if stretch.origin >= 0 and planned.seeds.device(stretch.origin) == status.st_dev:
                part = shared_part(
                    stretch.source, stretch.offset, stretch.length, status.st_blksize
                )
                shared += len(part)
    return shared
