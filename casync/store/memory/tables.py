"""The tables of a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from casync.ids import Kind, ManifestId, ObjectId
from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import FetchedPart
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec
from casync.names.name import Name, NameRecord
from casync.objects.codec import Packed
from casync.objects.node import Content
from casync.store.base import ManifestRow, RememberedFile
from casync.store.push import OpenPush, is_alive

__all__ = ["JobTables", "Key", "PushState", "RemovedRow", "RemovedVersionRow", "Tables"]

Key: TypeAlias = tuple[Kind, ObjectId]


class PushState(NamedTuple):
    """A push: the generation that it began in, and the time of its last request."""

    floor: int
    heard: int


class RemovedRow(NamedTuple):
    """A manifest in the trash, with the time and the generation of its removal."""

    row: ManifestRow
    removed: int
    generation: int


class RemovedVersionRow(NamedTuple):
    """A version of a name in the trash, as `RemovedRow`."""

    record: NameRecord
    removed: int
    generation: int


@dataclass
class JobTables:
    """The jobs of one store, by id.

    Attributes:
        rows: The jobs.
        specs: Their specifications with their secrets.
        stops: Jobs that are asked to stop.
        runners: For each job with a runner, the epoch of that.
        items: Their items, in blocks.
        faults: The objects that failed, by index.
        parts: The parts of half-fetched objects, by index.
        origins: Where names came from.
    """

    rows: dict[str, JobRow] = field(default_factory=dict)
    specs: dict[str, JobSpec] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)
    runners: dict[str, int] = field(default_factory=dict)
    items: dict[str, list[list[Item]]] = field(default_factory=dict)
    faults: dict[str, dict[int, ObjectFault]] = field(default_factory=dict)
    parts: dict[str, dict[int, list[FetchedPart]]] = field(default_factory=dict)
    origins: dict[Name, Origin] = field(default_factory=dict)


@dataclass
class Tables:
    """The tables of one store.

    Attributes:
        objects: Objects.
        generations: For each object, the generation in which a writer last relied on it.
        manifests: Manifests, full and outline.
        names: Versions of names, the newest last.
        remembered: Remembered files by path, the newest last.
        removed_manifests: Manifests in the trash.
        removed_versions: Versions of names in the trash.
        highest_removed: For each name, the highest number of a removed version.
        pushes: Pushes that may be open.
        jobs: Jobs.
        member_indexes: Indexes of archives, by the ids of the archives' contents.
        writer: The generation since which objects stay for the store's user, or None.
        generation: The current generation; each collection begins one.
        collecting: Whether a collection is running.
        lock: Held by threads that change the tables.
    """

    objects: dict[Key, Packed] = field(default_factory=dict)
    generations: dict[Key, int] = field(default_factory=dict)
    manifests: dict[ManifestId, ManifestRow] = field(default_factory=dict)
    names: dict[Name, list[NameRecord]] = field(default_factory=dict)
    remembered: dict[bytes, RememberedFile] = field(default_factory=dict)
    removed_manifests: dict[ManifestId, RemovedRow] = field(default_factory=dict)
    removed_versions: dict[tuple[str, int], RemovedVersionRow] = field(default_factory=dict)
    highest_removed: dict[str, int] = field(default_factory=dict)
    pushes: dict[bytes, PushState] = field(default_factory=dict)
    jobs: JobTables = field(default_factory=JobTables)
    member_indexes: dict[bytes, Content] = field(default_factory=dict)
    writer: int | None = None
    generation: int = 1
    collecting: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def renew(self, keys: Iterable[Key]) -> None:
        """Protects objects from a running collection."""
        for key in keys:
            if key in self.objects:
                self.generations[key] = self.generation

    def floor(self, now: int, today: int) -> int:
        """The lowest generation that the store's user or a push relies on; at most `today`."""
        mine = today if self.writer is None else self.writer
        return min(self.push_floor(now, today), mine)

    def push_floor(self, now: int, today: int) -> int:
        """The lowest generation that a push relies on; at most `today`."""
        floors = [push.floor for push in self.pushes.values() if is_alive(push.heard, now)]
        return min([today, *floors])

    def open_pushes(self, now: int) -> list[OpenPush]:
        """As `Pushes.open`."""
        alive = [(p, row.heard) for p, row in self.pushes.items() if is_alive(row.heard, now)]
        return [OpenPush(*each) for each in sorted(alive, key=lambda each: each[1])]

    def log(self) -> Iterator[NameRecord]:
        """All versions of all names."""
        for records in self.names.values():
            yield from records
