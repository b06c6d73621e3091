"""What the store has acknowledged and must hold, and all broken promises.

A version of a name is *there* after a command acknowledged it. During a removal or a restore its
state is unknown; after a killed command it stays unknown, unless a later command settles it.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["Ledger", "State", "Version"]


class State(Enum):
    """What is known of a version."""

    THERE = "there"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class Version(NamedTuple):
    """A version of a name, and what is in it.

    Attributes:
        name: The name.
        number: Its version.
        manifest: The hash that was printed.
        content: The number of its content.
    """

    name: str
    number: int
    manifest: str
    content: int

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.number}"


class _Known(NamedTuple):
    state: State
    stamp: int


class Ledger:
    """The ledger, used by many threads."""

    def __init__(self) -> None:
        self.failed: Final = threading.Event()
        self.violations: list[str] = []
        self._counts: Counter[str] = Counter()
        self._known: dict[Version, _Known] = {}
        self._holders: dict[str, Version] = {}
        self._stamp = 0
        self._lock = threading.Lock()

    def count(self, what: str, number: int = 1) -> None:
        """Counts actions."""
        with self._lock:
            self._counts[what] += number

    def wrong(self, what: str) -> None:
        """Records a broken promise."""
        with self._lock:
            self.violations.append(what)
        self.failed.set()

    def set(self, version: Version, state: State) -> None:
        """Sets the state of a version."""
        with self._lock:
            self._stamp += 1
            self._known[version] = _Known(state, self._stamp)
            holder = self._holders.setdefault(version.ref, version)
        if holder != version:
            self.wrong(f"{version.ref} was given twice: {holder.manifest}, {version.manifest}")

    def now(self) -> int:
        """A number for `acknowledge`: what is known by now."""
        with self._lock:
            return self._stamp

    def acknowledge(self, version: Version, since: int) -> None:
        """A command started at `since` acknowledged the version.

        It need not be new: preparing or pushing what a name points to already returns the current
        version, which another actor may have removed before the answer arrived.
        """
        with self._lock:
            known = self._known.get(version)
        if known is None:
            self.set(version, State.THERE)
        elif known.state is State.REMOVED and known.stamp <= since:
            self.wrong(f"{version.ref} was given again after it was removed")
        elif known.stamp > since:
            self.set(version, State.UNKNOWN)

    def stamp(self, version: Version) -> int:
        """A number that changes with every change of the version's state."""
        with self._lock:
            return self._known[version].stamp

    def those(self, state: State) -> list[Version]:
        """All versions in this state, oldest first."""
        with self._lock:
            return [version for version, known in self._known.items() if known.state is state]

    def of(self, ref: str) -> Version | None:
        """The version with this label, if it was ever acknowledged."""
        with self._lock:
            return self._holders.get(ref)

    def choose(self, rng: random.Random, state: State) -> Version | None:
        """A random one of them, preferring late ones; None without any."""
        found = self.those(state)
        return found[int(len(found) * rng.random() ** 0.5)] if found else None

    def number(self, what: str) -> int:
        """The count of an action."""
        with self._lock:
            return self._counts[what]

    def report(self) -> list[str]:
        """The counts, one per line."""
        with self._lock:
            return [f"{what}: {number}" for what, number in sorted(self._counts.items())]
