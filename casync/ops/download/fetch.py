"""One object of a job, from its first attempt to its last."""

from __future__ import annotations

from casync.errors import CasyncError
from casync.jobs.backoff import Attempts
from casync.jobs.item import Item
from casync.jobs.origin import Origin
from casync.ops.download.body import ObjectBody
from casync.remote.sources.job_sources import ItemPlace, shown_address

__all__ = ["Fetch"]


class Fetch:
    """One object, from its first attempt to its last.

    Attributes:
        index: The index of its item.
        item: The item.
        located: Where it is; None if its address is invalid, as `error` says.
        error: See `located`.
        origin: Where the newest version of its name came from when its fetching began to be due.
        body: What was taken of it; None before its first byte.
        answered: Whether the last attempt brought an answer.
        opened: Whether it could be opened.
        asked: Whether the store was asked for what an earlier run left.
        compared: Whether it was compared with its origin, together with others.
        pulled: Bytes of it that the last attempt had, if it is a replica.
        attempts: Attempts that failed.
        best: The furthest byte that any attempt reached.
        first_failed: When the first attempt failed, in seconds since 1970; 0 if none did.
    """

    def __init__(self, index: int, item: Item, origin: Origin | None = None) -> None:
        self.index = index
        self.item = item
        self.origin = origin
        self.located: ItemPlace | None = None
        self.error: CasyncError | None = None
        self.body: ObjectBody | None = None
        self.answered = False
        self.opened = False
        self.asked = False
        self.compared = False
        self.pulled = 0
        self.attempts = Attempts()
        self.best = 0
        self.first_failed = 0

    def note_progress(self) -> bool:
        """Whether the last attempt came further than all before."""
        position = self.body.position if self.body is not None else self.pulled
        came_further = position > self.best
        self.best = max(self.best, position)
        return came_further

    @property
    def host(self) -> str:
        """The host that is asked for it."""
        return self.located.host if self.located is not None else ""

    @property
    def label(self) -> str:
        """Its address for messages, without secrets."""
        return shown_address(self.item, self.located)
