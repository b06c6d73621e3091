"""What follows from a failed attempt: another one later, or a fault."""

from __future__ import annotations

from typing import NamedTuple

from casync.errors import CasyncError, UnreachableError
from casync.jobs.backoff import Attempts
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import WaitingObject
from casync.ops.download.faults import concerns_object, describe, is_final, is_mismatch, kind_of
from casync.ops.download.fetch import Fetch
from casync.ops.download.hosts import HostWatch
from casync.ops.download.ledger import Ledger
from casync.ops.download.options import RunOptions
from casync.ops.download.writing import SharedWriter

__all__ = ["Again", "Retries"]


class Again(NamedTuple):
    """When an object is tried again.

    Attributes:
        delay: Seconds until then.
        rest: Seconds for which its host asked for a pause; 0 for none.
    """

    delay: float
    rest: float


class Retries(NamedTuple):
    """Decides about failed attempts. Safe for threads.

    Attributes:
        options: How the job is run.
        writer: The writer of the job.
        ledger: What it has done.
        hosts: Knows which hosts answer.
    """

    options: RunOptions
    writer: SharedWriter
    ledger: Ledger
    hosts: HostWatch

    def delay(self, attempts: Attempts, error: CasyncError) -> float | None:
        """Seconds until the next attempt; None if there shall be none."""
        return self.options.policy.delay(attempts, self.options.random(), _wish(error))

    def after(self, fetch: Fetch, error: CasyncError) -> Again | None:
        """Decides about an object whose attempt failed; None if it has failed for good.

        Raises:
            CasyncError: `error`, if more than this object failed.
            UnreachableError: No host has answered for too long.
        """
        if not concerns_object(error):
            raise error
        progress = fetch.note_progress()
        final = is_final(error, opened=fetch.opened)
        if error.status:
            self.hosts.answered(fetch.host)
        elif fetch.located is not None and not fetch.answered and not final:
            rest = self.hosts.failed(fetch.host, fetch.index, error, opened=fetch.opened)
            if rest is not None:
                return self._again(fetch, error, rest, rest)
        fetch.attempts = fetch.attempts.after(progress=progress, mismatch=is_mismatch(error))
        now = int(self.options.now())
        fetch.first_failed = fetch.first_failed or now
        if kind_of(error) is ObjectFaultKind.CHECKSUM and fetch.body is not None:
            fetch.body = None
            with self.writer.turn():
                self.ledger.restart(fetch.index)
        if not final:
            delay = self.delay(fetch.attempts, error)
            if delay is not None:
                return self._again(fetch, error, delay, _wish(error))
        fault = ObjectFault(
            index=fetch.index,
            name=fetch.item.name,
            url=fetch.label,
            kind=kind_of(error),
            message=describe(error, fetch.host),
            attempts=fetch.attempts.without_progress,
            first=fetch.first_failed,
            last=now,
            status=error.status,
        )
        with self.writer.turn():
            self.ledger.fail(fault)
        fetch.body = None
        return None

    def _again(self, fetch: Fetch, error: CasyncError, delay: float, rest: float) -> Again:
        self.ledger.waiting[fetch.index] = WaitingObject(
            fetch.item.name,
            describe(error, fetch.host),
            self.options.now() + max(delay, rest),
            fetch.attempts.without_progress,
        )
        return Again(delay, rest)


def _wish(error: CasyncError) -> float:
    return error.retry_after if isinstance(error, UnreachableError) else 0.0
