"""Whether hosts answer at all: an outage of a host is not a failure of its objects.

While a host does not answer, its objects keep their attempts, and it is asked now and then. A job
of days thus outlives an outage of minutes, and ends as one that can be continued if nothing else
answers either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from casync.errors import CasyncError, UnreachableError
from casync.jobs.fault import ObjectFaultKind
from casync.ops.download.faults import kind_of

__all__ = ["FIRST_PATIENCE", "HostWatch", "is_silence"]

_PATIENCE: Final = 3600.0
"""Seconds for which a host that answered before may be silent."""

FIRST_PATIENCE: Final = 30.0
"""The same for one that never answered: its address is probably wrong."""

_FAILURES: Final = 3
"""Failures without an answer between them that make an outage."""

_OBJECTS: Final = 2
"""Objects that they must be of: a server may break the connection for one object every time."""

_LONGEST_REST: Final = 30.0
"""Seconds between two looks at a silent host."""

_MINUTE: Final = 60.0

_SILENT: Final = frozenset(
    {
        ObjectFaultKind.DNS,
        ObjectFaultKind.CONNECT,
        ObjectFaultKind.TLS,
        ObjectFaultKind.TIMEOUT,
    }
)


class _Silence:
    """A stretch of time in which a host did not answer."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.failures = 0
        self.objects: set[int] = set()


class HostWatch:
    """Watches the hosts of a job. Safe for threads.

    Args:
        clock: Monotonic clock in seconds.
        note: Is told in one line when an outage begins.
    """

    def __init__(self, clock: Callable[[], float], note: Callable[[str], None]) -> None:
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}
        self._silences: dict[str, _Silence] = {}

    def answered(self, host: str) -> None:
        """A host answered something."""
        with self._lock:
            self._heard[host] = self._clock()
            self._silences.pop(host, None)

    def failed(self, host: str, index: int, error: CasyncError, *, opened: bool) -> float | None:
        """An attempt brought no answer.

        Args:
            host: The host.
            index: The index of the object.
            error: Why.
            opened: Whether the object could be opened before.

        Returns:
            Seconds after which the host should be asked again, if it is silent as a whole; None if
            the attempt counts.

        Raises:
            UnreachableError: It is silent for too long, and no other host answers.
        """
        if not is_silence(error):
            return None
        with self._lock:
            now = self._clock()
            silence = self._silences.setdefault(host, _Silence(now))
            silence.failures += 1
            if len(silence.objects) < _OBJECTS:
                silence.objects.add(index)
            was_heard = host in self._heard
            several = silence.failures >= _FAILURES and len(silence.objects) >= _OBJECTS
            if not several and not (_is_down(error) and (opened or not was_heard)):
                return None
            seconds = now - silence.since
            if seconds > (_PATIENCE if was_heard else FIRST_PATIENCE):
                if any(heard > silence.since for heard in self._heard.values()):
                    return None
                raise _given_up(error, seconds)
            if silence.failures == _FAILURES:
                self._note(f"{error.message}; waiting for an answer")
            return min(2.0 ** min(silence.failures // _FAILURES, 5), _LONGEST_REST)


def is_silence(error: CasyncError) -> bool:
    """Whether an error means that there was no answer."""
    return not error.status and kind_of(error) in _SILENT


def _is_down(error: CasyncError) -> bool:
    """Whether an error concerns all objects of a host, such as one where nothing listens."""
    refused = isinstance(error, UnreachableError) and error.refused
    return refused or kind_of(error) in (ObjectFaultKind.DNS, ObjectFaultKind.TLS)


def _given_up(error: CasyncError, seconds: float) -> UnreachableError:
    time = f"{seconds / _MINUTE:.0f} min" if seconds >= _MINUTE else f"{seconds:.0f} s"
    step = "The job keeps what it has, and can be continued."
    return UnreachableError(f"no answer for {time}: {error.message}", next_step=step)
