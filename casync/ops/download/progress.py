"""The port through which a job reports what it does."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, Protocol

from casync.jobs.job import JobRow

__all__ = ["SILENT_JOB", "ActiveView", "JobProgress", "JobView", "Phase"]


class Phase(Enum):
    """What a job does now."""

    LISTING = "listing"
    FETCHING = "fetching"
    REMOVING = "removing"


class ActiveView(NamedTuple):
    """An object that is being fetched.

    Attributes:
        name: The name that it gets.
        done: Bytes of it that are here.
        size: Its size in bytes; None if it is not known.
        speed: Bytes per second that came lately.
    """

    name: str
    done: int
    size: int | None
    speed: float


class JobView(NamedTuple):
    """A job at one moment.

    Attributes:
        row: The job, with counts that are not written yet.
        phase: What it does.
        active: The objects that are being fetched, in order.
        speed: Bytes per second that came lately, in total.
        listed: Objects that were listed so far.
    """

    row: JobRow
    phase: Phase
    active: list[ActiveView]
    speed: float
    listed: int


class JobProgress(Protocol):
    """Receives reports of a job. Methods are called by one thread and must be fast."""

    def show(self, view: JobView) -> None:
        """Shows the job. Called several times a second, and once at the end."""
        ...

    def note(self, text: str) -> None:
        """Reports one line for the user. Untrusted text in it is not escaped."""
        ...


class _Silent:
    def show(self, view: JobView) -> None:
        pass

    def note(self, text: str) -> None:
        pass


SILENT_JOB: Final[JobProgress] = _Silent()
"""Drops all reports."""
