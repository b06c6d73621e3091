"""The interface of contenders: command lines for the same few tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.tool import Found, Tool, find, refuse_ourselves

AT_ONCE = 8
"""Requests that `casync download` has on the way to one host."""


class Mode(Enum):
    """The state of the receiver before a pull."""

    COLD = "cold"
    """It has nothing."""
    SEED = "seed"
    """It has the old file as a seed; the result is a new file."""
    IN_PLACE = "in place"
    """It has the old file, which becomes the new one."""


@dataclass(frozen=True)
class Place:
    """Where a contender may write.

    Attributes:
        served: What it publishes; a folder of its own below the server's root.
        local: What it keeps for itself: repositories, caches, indexes.
        path: The path of `served` in URLs.
    """

    served: Path
    local: Path
    path: str


@dataclass(frozen=True)
class Task:
    """One pull.

    Attributes:
        stem: The name of the wanted version: its file's name without suffix.
        url: The server, without a slash at its end.
        out: The target. With Mode.IN_PLACE it is a copy of the old file.
        old: The old file, when there is one.
        mode: How the receiver stands.
    """

    stem: str
    url: str
    out: Path
    old: Path | None = None
    mode: Mode = Mode.COLD


@dataclass(frozen=True)
class Download:
    """A folder of a web server that is downloaded.

    Attributes:
        url: The folder, with a slash at its end.
        listed: A file with the address of each file in it, one in a line.
        out: What is filled: a folder or a store.
        again: Whether `out` has all of it already.
    """

    url: str
    listed: Path
    out: Path
    again: bool = False


@dataclass(frozen=True)
class Upload:
    """A file that is copied into a bucket.

    Attributes:
        source: The file.
        out: The bucket and a folder in it.
        endpoint: The URL of the server.
        region: Its region.
        keys: Variables with the credentials.
    """

    source: Path
    out: str
    endpoint: str
    region: str
    keys: Mapping[str, str]


class Contender:
    """Base of all adapters. A task that a program cannot do has no command: None."""

    name: ClassVar[str]
    tool: ClassVar[Tool]
    server: ClassVar[str] = "nginx"
    """Who serves what it published: nginx, rsync, or itself."""

    updates_target: ClassVar[bool] = False
    """The old file must lie where the new one goes, whatever the mode."""

    slow: ClassVar[bool] = False
    """So slow that one round has to do."""

    limit: ClassVar[float] = 300.0
    """Seconds after which one of its commands is given up."""

    def __init__(self, found: Found | None = None) -> None:
        """Finds the program, unless it is given.

        Raises:
            MissingError: It is not on this machine.
        """
        self.found = found or find(self.tool)
        self.binary = self.found.path

    def prove(self) -> None:
        """Makes sure that this is not our own command under another name.

        Raises:
            OurselvesError: It is.
        """
        refuse_ourselves(self.found, self.tool.asked)

    def setup(self, place: Place) -> list[Command]:
        """What has to be done once before the first prepare; not measured."""
        return []

    def prepare(self, source: Path, place: Place) -> Command | None:
        """Takes a file into the store, repository or archive."""
        return None

    def stored(self, place: Place) -> Path:
        """What to measure the size of after a prepare."""
        return place.served

    def seed(self, old: Path, place: Place) -> list[Command]:
        """What a receiver with the old file has to have done before; not measured."""
        return []

    def pull(self, task: Task, place: Place) -> Command | None:
        """Gets a version that was prepared, from a server."""
        return None

    def download(self, task: Download) -> Command | None:
        """Gets the files of a folder from a web server."""
        return None

    def resume(self, task: Task, place: Place) -> Command | None:
        """A pull that, given again after it was killed, goes on; if there is such a thing."""
        return None
